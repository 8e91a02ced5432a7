/* The kernels for whatever the compiler takes for granted: SSE2 on x86-64, NEON on AArch64. */

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "task.h"

#define KERNELS offstride_kernels_baseline
#define NAME "baseline"
#include "kernels.h"
