/* The kernels for AVX-512 (Skylake-SP, Zen 4 and later); chosen at run time. */

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "task.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif

#define KERNELS offstride_kernels_avx512
#define NAME "avx512"
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int offstride_avx512_is_x86; /* a file may not be empty */
#endif
