/* What the label kernels are asked to do and what they share. Shapes as in task.h; target and labels (B, H, W), counts
 * (C, C) with true classes in rows. */

#ifndef OFFSTRIDE_LABEL_TASK_H
#define OFFSTRIDE_LABEL_TASK_H

#include "task.h"

enum { UNSURE = -1 };         /* instead of a class: rounding could decide there, or there are several */
enum { FEW_CLASSES = 256 };   /* labels of so many are bytes, else int64 */

/* One request, filled in by Python (offstride/ops/native/__init__.py has the same fields in the same order). */
typedef struct {
    const float *scores, *offsets; /* offsets: NULL for plain bilinear upsampling */
    const void *target;            /* uint8 or int64 true classes, or NULL */
    void *labels;                  /* out, or NULL: best classes */
    int64_t *counts;               /* out, or NULL: pixels of each true and best class */
    int64_t B, C, h, w, H, W;
    int64_t target_bytes, ignore_index, origin, threads;
} LabelTask;

struct LabelWork {
    LabelTask *task;
    int owner;                    /* of the memory that is kept between tasks */
    Axis y, x;
    Segment *rows, *columns;      /* of the fine map; neither is longer than LANES */
    int64_t rows_count, columns_count;
    int64_t bytes;                /* of a label: 1 or 8 */
    int fold;                     /* bilinear: rows that share a vector where columns alone would not fill it */
    float *fractions;             /* bilinear: (columns_count, LANES) weights of the right column, folded */
    int64_t pitch;                /* of the lines of `lines`: w + 1 */
    int64_t padded;               /* channels of `pixels`: C and -inf up to whole vectors */
    float *lines;                 /* bilinear: (B, h, C, pitch) coarse scores, the last of a row twice, -inf for NaN */
    float *pixels;                /* located: (B, h, w, padded) coarse scores, -inf for NaN */
    int32_t *best;                /* (B, h, w) best class of the coarse pixels, or UNSURE */
    int32_t *cells;               /* located: (B, h, w) class of all fine pixels between four coarse ones, or UNSURE */
    int thorough;                 /* look at all classes everywhere, for tests */
};

/* Memory of a thread. */
struct LabelRoom {
    unsigned char *strip;         /* (LANES, W) labels that are only counted */
    unsigned char *truth;         /* (W) true classes as bytes */
    int64_t *counts;              /* (C + 1, C); the last row is that of ignored pixels */
    int64_t *rows[FEW_CLASSES];   /* of these counts, for every label that is a byte */
    int32_t *cells;               /* (w): as `cells` of the work, for the two coarse rows at hand */
    int32_t *candidates;          /* (LANES, C): classes that can win in cells `first` ... */
    int32_t count[LANES];         /* of these classes */
    int64_t first;
    float *far_y, *far_x;         /* (W) weights of the lower row and of the right column */
    int32_t *top, *left;          /* (W) */
    int32_t *label;               /* (W) */
    int32_t *unsure;              /* (W) fine pixels of a row in UNSURE cells */
};

#endif
