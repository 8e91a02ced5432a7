/* The kernels for AVX2 and FMA (Haswell, Zen and later); chosen at run time. */

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "task.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define KERNELS offstride_kernels_avx2
#define NAME "avx2"
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int offstride_avx2_is_x86; /* a file may not be empty */
#endif
