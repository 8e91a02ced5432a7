/* Divides a task among threads, and joins their results so that they depend neither on the number of threads nor on who
 * was first. */

#include <stdlib.h>
#include <string.h>
#include "task.h"

enum { UNIT_ROWS = 32 }; /* fine rows of a unit, roughly: fewer cost memory at the seams, more leave threads idle */

static const Kernels *chosen;

/* "avx512", "avx2", "baseline", or the best that there is for NULL; returns what was there before, NULL if it is not here. */
static const Kernels *find(const char *name) {
    const Kernels *known[] = {
#if defined(__x86_64__)
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl")
            ? &offstride_kernels_avx512
            : NULL,
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &offstride_kernels_avx2 : NULL,
#endif
        &offstride_kernels_baseline,
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i] && (!name || strcmp(name, known[i]->name) == 0)) return known[i];
    return NULL;
}

/* Uses an instruction set from now on, the best one for NULL; its name, or NULL if this processor lacks it. */
const char *offstride_use(const char *name) {
    const Kernels *found = find(name);
    if (!found) return NULL;
    chosen = found;
    return found->name;
}

const Kernels *offstride_chosen(void) {
    if (!chosen) offstride_use(NULL);
    return chosen;
}

/* The coordinate of each fine pixel is a fraction of whole numbers, see offstride/ops/grid.py; so is its floor. */
int offstride_make_axis(Axis *axis, int64_t fine, int64_t coarse, int64_t origin) {
    const int64_t gaps = fine > 1 ? fine - 1 : 1, aligned = origin == ORIGIN_ALIGNED;
    const int64_t denominator = aligned ? gaps : origin == ORIGIN_CENTER ? 2 * fine : fine;
    const double step = aligned ? (double)(coarse - 1) / (double)gaps : (double)coarse / (double)fine;
    *axis = (Axis){.fine = fine, .coarse = coarse, .step = (float)step};
    axis->base = offstride_allocate(fine, sizeof(float));
    axis->fraction = offstride_allocate(fine, sizeof(float));
    int32_t **whole[] = {&axis->low, &axis->high, &axis->floor, &axis->ceiling};
    for (int i = 0; i < 4; i++) *whole[i] = offstride_allocate(fine + LANES, sizeof(int32_t));
    if (!axis->base || !axis->fraction || !axis->low || !axis->high || !axis->floor || !axis->ceiling) return -1;
    for (int i = 0; i < 4; i++) memset(*whole[i] + fine, 0, LANES * sizeof(int32_t)); /* whole vectors may be read */
    for (int64_t i = 0; i < fine; i++) {
        const int64_t centred = (2 * i + 1) * coarse - fine;
        const int64_t numerator = origin == ORIGIN_CENTER ? centred : i * (coarse - aligned);
        int64_t low = numerator / denominator;
        if (low * denominator > numerator) low--;
        const int64_t rest = numerator - low * denominator, ceiling = low + (rest != 0);
        const float fraction = (float)rest / (float)denominator;
        const int inside = low >= 0 && low < coarse - 1;
        axis->base[i] = (float)low + fraction;
        axis->fraction[i] = inside ? fraction : 0.0f;
        axis->low[i] = (int32_t)(low < 0 ? 0 : low > coarse - 1 ? coarse - 1 : low);
        axis->high[i] = inside ? axis->low[i] + 1 : axis->low[i];
        axis->floor[i] = axis->low[i];
        axis->ceiling[i] = (int32_t)(ceiling < 0 ? 0 : ceiling > coarse - 1 ? coarse - 1 : ceiling);
    }
    return 0;
}

void offstride_free_axis(Axis *axis) {
    free(axis->base);
    free(axis->fraction);
    free(axis->low);
    free(axis->high);
    free(axis->floor);
    free(axis->ceiling);
}

Segment *offstride_make_segments(const Axis *axis, int64_t *count) {
    Segment *segments = offstride_allocate(axis->fine, sizeof(Segment));
    *count = 0;
    for (int64_t i = 0; segments && i < axis->fine; i++) {
        Segment *last = segments + *count - 1;
        const int same = i > 0 && axis->low[i] == axis->low[i - 1] && axis->high[i] == axis->high[i - 1];
        if (same && i - last->start < LANES)
            last->stop = i + 1;
        else
            segments[(*count)++] = (Segment){i, i + 1};
    }
    return segments;
}

/* The coarse rows that the offsets of a unit reach, counted just as the kernel does. */
static void reach(const Work *work, Unit *unit) {
    const Task *task = work->task;
    const float limit = (float)(task->h - 1);
    float lowest = limit, highest = 0.0f;
    for (int64_t y = unit->start; y < unit->stop; y++) {
        const float base = work->y.base[y], *offsets = task->offsets + (2 * unit->image * task->H + y) * task->W;
        for (int64_t x = 0; x < task->W; x++) {
            float at = base + offsets[x];
            at = at >= 0.0f ? at : 0.0f; /* NaN too */
            at = at > limit ? limit : at;
            lowest = at < lowest ? at : lowest;
            highest = at > highest ? at : highest;
        }
    }
    unit->first = (int64_t)lowest;
    unit->last = (int64_t)highest + 2 < task->h ? (int64_t)highest + 2 : task->h;
}

static int make_units(Work *work) {
    const Task *task = work->task;
    work->units = offstride_allocate(task->B * (2 * task->H / UNIT_ROWS + 2), sizeof(Unit)); /* half that long at least */
    if (!work->units) return -1;
    for (int64_t image = 0; image < task->B; image++)
        for (int64_t start = 0, stop; start < task->H; start = stop) {
            stop = start + UNIT_ROWS < task->H ? start + UNIT_ROWS : task->H;
            /* Whole cells as far as that costs no unit its rows: a shared coarse row is then shared by two only. */
            int64_t back = stop;
            while (stop < task->H && back > start + 1 && work->y.low[back - 1] == work->y.low[back]) back--;
            if (stop < task->H && back > start + UNIT_ROWS / 2) stop = back;
            work->units[work->units_count++] = (Unit){.image = image,
                                                      .start = start,
                                                      .stop = stop,
                                                      .first = work->y.low[start],
                                                      .last = work->y.high[stop - 1] + 1};
        }
    return 0;
}

static int make_partial(Work *work) {
    const Task *task = work->task;
    int64_t total = 0;
    for (int64_t u = 0; u < work->units_count; u++) {
        work->units[u].at = total;
        total += (work->units[u].last - work->units[u].first) * task->w * work->padded;
    }
    if (!task->grad_scores) return 0;
    work->partial = offstride_borrow(work->owner, PARTIAL, total);
    return work->partial ? 0 : -1;
}

static int prepare(Work *work) {
    Task *task = work->task;
    const int64_t channels = task->C + (task->smoothing != 0.0f), coarse = task->B * task->h * task->w;
    work->padded = (channels + chosen->width - 1) / chosen->width * chosen->width;
    work->weight_sum = 0.0f;
    for (int64_t c = 0; c < task->C; c++) work->weight_sum += task->weight ? task->weight[c] : 1.0f;
    work->table = offstride_borrow(work->owner, TABLE, coarse * work->padded);
    work->wide = offstride_allocate(task->B * task->h, 1);
    if (!work->table || !work->wide) return -1;
    if (task->location == LOCATION_REGRESSION) {
        work->coarse_lse = offstride_allocate(coarse, sizeof(float));
        work->coarse_peak = offstride_allocate(coarse, sizeof(float));
        if (!work->coarse_lse || !work->coarse_peak) return -1;
    }
    if (offstride_make_axis(&work->y, task->H, task->h, task->origin)) return -1;
    if (offstride_make_axis(&work->x, task->W, task->w, task->origin)) return -1;
    work->columns = offstride_make_segments(&work->x, &work->columns_count);
    return !work->columns || make_units(work) ? -1 : 0;
}

static void forget(Work *work) {
    offstride_give_back(work->table, TABLE);
    offstride_give_back(work->partial, PARTIAL);
    free(work->wide);
    free(work->coarse_lse);
    free(work->coarse_peak);
    free(work->columns);
    free(work->units);
    offstride_free_axis(&work->y);
    offstride_free_axis(&work->x);
}

static int run(Work *work) {
    Task *task = work->task;
    const int threads = (int)task->threads;
    int failed = 0;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < task->B * task->h; row++) chosen->pack(work, row / task->h, row % task->h);
    if (task->offsets) {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int64_t u = 0; u < work->units_count; u++) reach(work, work->units + u);
    }
    if (make_partial(work)) return -1;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) reduction(| : failed)
    for (int64_t u = 0; u < work->units_count; u++)
        failed |= (task->offsets ? chosen->located : chosen->bilinear)(work, work->units + u);
    if (failed) return -1;
    for (int64_t u = 0; u < work->units_count; u++) {
        task->loss += work->units[u].loss;
        task->pull += work->units[u].pull;
    }
    if (!task->grad_scores) return 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        float *line = offstride_allocate(task->w * work->padded, sizeof(float));
        failed |= line == NULL;
#pragma omp for schedule(static)
        for (int64_t row = 0; row < task->B * task->h; row++)
            if (line) chosen->gather(work, row / task->h, row % task->h, line);
        free(line);
    }
    return failed ? -1 : 0;
}

/* A part of the batch as a task of its own. */
static Task some_images(const Task *task, int64_t first, int64_t count) {
    const int64_t coarse = task->C * task->h * task->w, fine = task->H * task->W;
    Task part = *task;
    part.B = count;
    part.scores += first * coarse;
    part.labels = (const char *)part.labels + first * fine * part.label_bytes;
    if (part.offsets) part.offsets += first * 2 * fine;
    if (part.pixel_weight) part.pixel_weight += first * fine;
    if (part.losses) part.losses += first * fine;
    if (part.grad_scores) part.grad_scores += first * coarse;
    if (part.grad_offsets) part.grad_offsets += first * 2 * fine;
    return part;
}

/* Losses, their sums and gradients; 0, or -1 if there is not enough memory. Works on as few images at a time as keep all
 * threads busy: tables and partial gradients then are those of a few images, however large the batch. */
int offstride_cross_entropy(Task *task) {
    const int64_t units = (task->H + UNIT_ROWS - 1) / UNIT_ROWS, together = (4 * task->threads + units - 1) / units;
    const int owner = offstride_take_memory();
    int failed = 0;
    if (!chosen) offstride_use(NULL);
    task->loss = task->pull = 0;
    for (int64_t first = 0; first < task->B && !failed; first += together) {
        Task part = some_images(task, first, together < task->B - first ? together : task->B - first);
        Work work = {.task = &part, .owner = owner};
        part.loss = part.pull = 0;
        failed = prepare(&work) || run(&work);
        forget(&work);
        task->loss += part.loss;
        task->pull += part.pull;
    }
    if (owner) offstride_release_memory();
    return failed ? -1 : 0;
}

#define LOOK(type)                                                     \
    for (int64_t i = start; i < stop; i++) {                           \
        const int64_t label = ((const type *)labels)[i];               \
        if (label == ignored) continue;                                \
        if (label < 0 || label >= classes) {                           \
            wrong = label;                                             \
            strangers = 1;                                             \
        } else if (weight)                                             \
            mine += (double)weight[label];                             \
        else                                                           \
            mine += 1.0;                                               \
    }

/* Number of valid pixels, or the sum of their class weights; 0, or 1 if there is a label that is no class (in *found). */
int offstride_count_labels(const void *labels, int64_t bytes, int64_t length, int64_t classes, int64_t ignored,
                           const float *weight, int64_t threads, double *count, int64_t *found) {
    enum { PIECE = 1 << 16 };
    const int64_t pieces = (length + PIECE - 1) / PIECE;
    double *counts = offstride_allocate(pieces, sizeof(double));
    int outside = 0;
    if (!counts) return -1;
#pragma omp parallel for schedule(static) num_threads((int)threads) reduction(| : outside)
    for (int64_t piece = 0; piece < pieces; piece++) {
        const int64_t start = piece * PIECE, stop = start + PIECE < length ? start + PIECE : length;
        int64_t wrong = 0;
        int strangers = 0;
        double mine = 0;
        if (bytes == 1) {
            LOOK(uint8_t)
        } else {
            LOOK(int64_t)
        }
        counts[piece] = mine;
        outside |= strangers;
        if (strangers) {
#pragma omp critical
            *found = wrong;
        }
    }
    *count = 0;
    for (int64_t piece = 0; piece < pieces; piece++) *count += counts[piece]; /* in this order, whoever counted */
    free(counts);
    return outside;
}
