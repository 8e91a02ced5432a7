/* What the kernels are asked to do and what they share. Shapes: scores (B, C, h, w), offsets (B, 2, H, W) in (y, x)
 * order, labels, losses and pixel weights (B, H, W); all contiguous, float32 unless said otherwise. */

#ifndef OFFSTRIDE_TASK_H
#define OFFSTRIDE_TASK_H

#include <stdint.h>

enum { ORIGIN_CENTER, ORIGIN_CORNER, ORIGIN_ALIGNED }; /* see offstride/ops/grid.py */
enum { LOCATION_NONE, LOCATION_GUIDED, LOCATION_REGRESSION };
enum { TIES_PENALIZE, TIES_SPARE };
enum { LANES = 16 };           /* pixels of a block: a multiple of every vector's width */
enum { STRETCH = 64 };         /* pixels of a row that are worked on at a time */
enum { NARROW_RANGE = 80 };    /* exp(-80) is a normal float: coarse scores this close need no maximum per pixel */

/* One request, filled in by Python (offstride/ops/native/__init__.py has the same fields in the same order). */
typedef struct {
    const float *scores, *offsets;      /* offsets: NULL for plain bilinear upsampling */
    const float *weight;                /* (C,) class weights or NULL */
    const float *pixel_weight;          /* factor of each pixel's loss in sum and gradients, or NULL */
    const void *labels;                 /* uint8 or int64, in range where valid */
    float *losses;                      /* out, or NULL: loss of every pixel, 0 where ignored */
    float *grad_scores, *grad_offsets;  /* out, or NULL: scaled gradients of the sums */
    int64_t B, C, h, w, H, W;
    int64_t label_bytes, ignore_index;
    int64_t origin, location, ties, window, threads;
    float smoothing, penalty, strength; /* label smoothing; lambda and gamma of LaU, Eqs. 3 and 4 */
    float scale, pull_scale;            /* factors of the gradients of the two sums */
    float noise;                        /* relative difference that decides nothing */
    double loss, pull;                  /* out: sums over pixels, not scaled */
} Task;

/* Where the pixels of a fine axis read a coarse one; the arrays have one entry per fine pixel. */
typedef struct {
    int64_t fine, coarse;
    float step;               /* coarse pixels per fine pixel */
    float *base;              /* undisplaced coordinate, not clamped */
    float *fraction;          /* of the clamped coordinate, inside its cell */
    int32_t *low, *high;      /* the cell: neighbours of the clamped coordinate */
    int32_t *floor, *ceiling; /* of the undisplaced coordinate, clamped: they agree where it is whole */
} Axis;

/* Fine pixels start ... stop - 1 of one cell. */
typedef struct {
    int64_t start, stop;
} Segment;

/* Some fine rows of an image, and the coarse rows that their gradients reach. */
typedef struct {
    int64_t image, start, stop, first, last;
    int64_t at; /* where its partial gradients begin, in floats */
    double loss, pull;
} Unit;

typedef struct {
    Task *task;
    int owner;            /* of the memory that is kept between tasks */
    Axis y, x;
    Segment *columns;     /* of a row; none is longer than LANES */
    int64_t columns_count;
    Unit *units;
    int64_t units_count;
    int64_t padded;       /* channels of the table: C, the smoothing channel, and zeros up to whole vectors */
    float *table;         /* (B, h, w, padded) coarse scores, shifted by their maximum where that is narrow */
    float *coarse_peak;   /* (B, h, w) largest score of each pixel of the table, or NULL */
    float *coarse_lse;    /* (B, h, w) log-sum-exp of the scores less that, or NULL */
    unsigned char *wide;  /* (B, h): whether a row holds scores that are too far apart, or not finite */
    float *partial;       /* partial gradients of the units, each (last - first, w, padded) */
    float weight_sum;     /* sum of the class weights */
} Work;

/* The same for label maps, see label_task.h. */
typedef struct LabelWork LabelWork;
typedef struct LabelRoom LabelRoom;

/* The kernels of one instruction set. */
typedef struct {
    const char *name;
    int64_t width; /* floats in a vector */
    void (*pack)(Work *work, int64_t image, int64_t row);
    int (*bilinear)(Work *work, Unit *unit);
    int (*located)(Work *work, Unit *unit);
    void (*gather)(Work *work, int64_t image, int64_t row, float *line);
    void (*survey)(LabelWork *work, int64_t image, int64_t row);
    void (*join)(LabelWork *work, int64_t image, int64_t row);
    void (*bilinear_labels)(LabelWork *work, int64_t image, const Segment *rows, LabelRoom *room, uint8_t *out);
    void (*located_labels)(LabelWork *work, int64_t image, const Segment *rows, LabelRoom *room, uint8_t *out);
} Kernels;

extern const Kernels offstride_kernels_baseline, offstride_kernels_avx2, offstride_kernels_avx512;

/* Those in use; the best ones unless others were chosen. */
const Kernels *offstride_chosen(void);

/* 0, or -1 if there is not enough memory. */
int offstride_make_axis(Axis *axis, int64_t fine, int64_t coarse, int64_t origin);
void offstride_free_axis(Axis *axis);

/* The runs of fine pixels of the same cell, none longer than LANES; NULL if there is not enough memory. Free it. */
Segment *offstride_make_segments(const Axis *axis, int64_t *count);

/* Memory that starts at a multiple of a cache line; NULL if there is none left. Free it with free(). */
void *offstride_allocate(int64_t count, int64_t size);

/* Pieces of memory that are kept between tasks. */
enum { TABLE, PARTIAL, KEPT };

/* Whether the kept memory is the caller's until it is released; it is not while another task has it. */
int offstride_take_memory(void);
void offstride_release_memory(void);

/* A piece of it for its owner, memory of one's own for others and for what is very large; NULL if there is none left. */
float *offstride_borrow(int owner, int which, int64_t count);
void offstride_give_back(const float *memory, int which);

#endif
