/* The kernels of one instruction set; the file that includes this has chosen it and defines KERNELS and NAME.
 *
 * All of them read the table: coarse scores with channels last, filled up to whole vectors. A pixel's loss needs the sum of
 * exponentials over the channels and the score of its label; its gradient is a multiple of these exponentials less one at
 * the label, spread over the coarse pixels it was read from. docs/fused_loss.md explains the steps. */

#include "label_task.h"
#include "vector.h"

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

#include "pixels.h"
#include "pack.h"
#include "bilinear.h"
#include "located.h"
#include "labels.h"
#include "label_bilinear.h"
#include "label_located.h"

const Kernels KERNELS = {NAME,       WIDTH,      pack_row, bilinear_unit,   located_unit,
                         gather_row, survey_row, join_row, bilinear_labels, located_labels};
