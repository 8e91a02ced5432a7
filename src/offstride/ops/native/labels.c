/* Label maps and confusion counts: memory, and the division among threads. No result depends on that: labels are found
 * one by one, and counts are whole numbers. */

#include <stdlib.h>
#include <string.h>
#include "label_task.h"

static int thorough;

/* Look at all classes everywhere from now on (1), or only where it is needed (0): a test compares. */
void offstride_label_thoroughly(int value) { thorough = value; }

/* The row of the counts of a true class; ignored pixels, and what is no class, share the last one. */
static int64_t row_of(const LabelTask *task, int64_t label) {
    return label < 0 || label >= task->C || label == task->ignore_index ? task->C : label;
}

static int make_room(const LabelWork *work, LabelRoom *room) {
    const LabelTask *task = work->task;
    const int64_t filled = (task->W + LANES - 1) / LANES * LANES, counts = (task->C + 1) * task->C;
    *room = (LabelRoom){.strip = task->labels ? NULL : offstride_allocate(LANES * task->W, work->bytes)};
    int failed = !task->labels && !room->strip;
    if (task->counts) {
        room->truth = offstride_allocate(task->W, 1);
        room->counts = offstride_allocate(counts, sizeof(int64_t));
        if (failed || !room->truth || !room->counts) return -1;
        memset(room->counts, 0, (size_t)counts * sizeof(int64_t));
        for (int label = 0; label < FEW_CLASSES; label++) room->rows[label] = room->counts + row_of(task, label) * task->C;
    }
    if (task->offsets) {
        float **weights[] = {&room->far_y, &room->far_x};
        int32_t **places[] = {&room->top, &room->left, &room->label, &room->unsure};
        for (int i = 0; i < 2; i++) failed |= !(*weights[i] = offstride_allocate(filled, sizeof(float)));
        for (int i = 0; i < 4; i++) failed |= !(*places[i] = offstride_allocate(filled, sizeof(int32_t)));
    } else {
        failed |= !(room->cells = offstride_allocate(task->w, sizeof(int32_t)));
        failed |= !(room->candidates = offstride_allocate(LANES * task->C, sizeof(int32_t)));
    }
    return failed;
}

static void free_room(LabelRoom *room) {
    void *all[] = {room->strip, room->truth, room->counts, room->cells, room->candidates, room->far_y,
                   room->far_x, room->top,   room->left,   room->label, room->unsure};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) free(all[i]);
}

/* Where eight bytes are one byte eight times. */
static int uniform(uint64_t bytes) { return bytes == (bytes & 255) * 0x0101010101010101u; }

/* Counts a line of pixels whose classes are bytes; rows[label] says where the counts of a true class are. Maps are mostly
 * uniform, so eight pixels are looked at together. */
static void count_bytes(const uint8_t *truth, const uint8_t *labels, int64_t length, int64_t *const *rows) {
    int64_t x = 0;
    for (; x + 8 <= length; x += 8) {
        uint64_t a, b;
        memcpy(&a, truth + x, 8);
        memcpy(&b, labels + x, 8);
        if (uniform(a) && uniform(b))
            rows[a & 255][b & 255] += 8;
        else
            for (int64_t i = x; i < x + 8; i++) rows[truth[i]][labels[i]]++;
    }
    for (; x < length; x++) rows[truth[x]][labels[x]]++;
}

/* Counts the pixels of some rows. */
static void count_band(const LabelWork *work, int64_t image, const Segment *band, const uint8_t *labels,
                       LabelRoom *room) {
    const LabelTask *task = work->task;
    const int64_t W = task->W, C = task->C;
    for (int64_t y = band->start; y < band->stop; y++, labels += W * work->bytes) {
        const int64_t at = (image * task->H + y) * W;
        const uint8_t *bytes = (const uint8_t *)task->target + at;
        const int64_t *numbers = (const int64_t *)task->target + at;
        if (task->target_bytes == 1 && work->bytes == 1) {
            count_bytes(bytes, labels, W, room->rows);
        } else if (task->target_bytes == 8 && C < FEW_CLASSES) {
            uint8_t *restrict truth = room->truth;
            for (int64_t x = 0; x < W; x++) truth[x] = (uint8_t)row_of(task, numbers[x]);
            count_bytes(truth, labels, W, room->rows);
        } else
            for (int64_t x = 0; x < W; x++) {
                const int64_t truth = task->target_bytes == 1 ? bytes[x] : numbers[x];
                room->counts[row_of(task, truth) * C + (work->bytes == 1 ? labels[x] : ((const int64_t *)labels)[x])]++;
            }
    }
}

static int longest(const Segment *segments, int64_t count) {
    int64_t found = 0;
    for (int64_t s = 0; s < count; s++)
        if (segments[s].stop - segments[s].start > found) found = segments[s].stop - segments[s].start;
    return (int)found;
}

/* Lanes of a vector are columns of a cell; two or more of its rows share one that they would not fill. */
static int fold_columns(LabelWork *work, int width) {
    const int columns = longest(work->columns, work->columns_count), rows = longest(work->rows, work->rows_count);
    for (work->fold = 1; 2 * work->fold * columns <= width && 2 * work->fold <= rows;) work->fold *= 2;
    work->fractions = offstride_allocate(work->columns_count * LANES, sizeof(float));
    if (!work->fractions) return -1;
    for (int64_t s = 0; s < work->columns_count; s++)
        for (int i = 0; i < LANES; i++) {
            const int64_t x = work->columns[s].start + (work->fold == 1 ? i : i % (width / work->fold));
            work->fractions[s * LANES + i] = x < work->columns[s].stop ? work->x.fraction[x] : 0.0f;
        }
    return 0;
}

static int prepare(LabelWork *work) {
    LabelTask *task = work->task;
    const int64_t coarse = task->B * task->h * task->w, width = offstride_chosen()->width;
    work->bytes = task->C <= FEW_CLASSES ? 1 : 8;
    work->pitch = task->w + 1;
    work->padded = (task->C + width - 1) / width * width;
    if (offstride_make_axis(&work->y, task->H, task->h, task->origin)) return -1;
    if (offstride_make_axis(&work->x, task->W, task->w, task->origin)) return -1;
    work->rows = offstride_make_segments(&work->y, &work->rows_count);
    work->columns = offstride_make_segments(&work->x, &work->columns_count);
    work->best = offstride_allocate(coarse, sizeof(int32_t));
    if (!work->rows || !work->columns || !work->best) return -1;
    if (!task->offsets) { /* vectors at the end of a line reach beyond it */
        work->lines = offstride_borrow(work->owner, TABLE, task->B * task->h * task->C * work->pitch + 2 * LANES);
        return work->lines ? fold_columns(work, (int)width) : -1;
    }
    work->pixels = offstride_borrow(work->owner, TABLE, coarse * work->padded);
    work->cells = offstride_allocate(coarse, sizeof(int32_t));
    return work->pixels && work->cells ? 0 : -1;
}

static void forget(LabelWork *work) {
    offstride_give_back(work->lines, TABLE);
    offstride_give_back(work->pixels, TABLE);
    free(work->rows);
    free(work->columns);
    free(work->best);
    free(work->fractions);
    free(work->cells);
    offstride_free_axis(&work->y);
    offstride_free_axis(&work->x);
}

/* The labels of a few rows: where they are wanted, or into the strip, and counted. */
static void label_band(LabelWork *work, int64_t image, const Segment *rows, LabelRoom *room) {
    const LabelTask *task = work->task;
    uint8_t *out = room->strip;
    if (task->labels) out = (uint8_t *)task->labels + (image * task->H + rows->start) * task->W * work->bytes;
    const Kernels *kernels = offstride_chosen();
    (task->offsets ? kernels->located_labels : kernels->bilinear_labels)(work, image, rows, room, out);
    if (task->counts) count_band(work, image, rows, out, room);
}

static int run(LabelWork *work) {
    const LabelTask *task = work->task;
    const Kernels *kernels = offstride_chosen();
    int failed = 0;
#pragma omp parallel num_threads((int)task->threads) reduction(| : failed)
    {
        LabelRoom room;
        failed |= make_room(work, &room);
#pragma omp for schedule(static)
        for (int64_t row = 0; row < task->B * task->h; row++) kernels->survey(work, row / task->h, row % task->h);
        if (task->offsets) {
#pragma omp for schedule(static)
            for (int64_t row = 0; row < task->B * task->h; row++) kernels->join(work, row / task->h, row % task->h);
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t band = 0; band < task->B * work->rows_count; band++)
            if (!failed) label_band(work, band / work->rows_count, work->rows + band % work->rows_count, &room);
        if (task->counts && !failed) {
#pragma omp critical
            for (int64_t i = 0; i < task->C * task->C; i++) task->counts[i] += room.counts[i];
        }
        free_room(&room);
    }
    return failed;
}

/* Labels of fine pixels into task->labels, or their number by true class added to task->counts, or both; 0, or -1 if
 * there is not enough memory. */
int offstride_labels(LabelTask *task) {
    LabelWork work = {.task = task, .owner = offstride_take_memory(), .thorough = thorough};
    const int failed = prepare(&work) || run(&work);
    forget(&work);
    if (work.owner) offstride_release_memory();
    return failed ? -1 : 0;
}
