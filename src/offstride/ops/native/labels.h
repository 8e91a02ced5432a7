/* The best class of every fine pixel, and no other score of it.
 *
 * Fine scores are averages of the scores of coarse pixels with weights >= 0. So a class that is best at all corners of
 * a cell is best everywhere in it; and a class whose highest corner lies below the lowest corner of another never wins.
 * Both hold for what is computed in floating point too if a little is left for rounding: with unit roundoff u, an
 * average is off by at most 4 u times the same average of absolute scores, which is what the margins below are made of.
 * So labels are those of a look at all classes. The first of several best classes wins; a NaN never does. */

#define HUGE_SCORE 3e38f /* larger ones count as that, those below its negative as -inf: no average overflows */

INLINE Floats absolute(Floats x) { return (Floats)((Ints)x & 0x7fffffff); }
INLINE Floats smaller(Floats a, Floats b) { return choose(a < b, a, b); }
INLINE Floats bounded(Floats x) { /* NaN becomes -inf too */
    return choose(x >= -HUGE_SCORE, smaller(x, all(HUGE_SCORE)), all(-INFINITY));
}
INLINE Ints choose_ints(Ints mask, Ints yes, Ints no) { return (Ints)choose(mask, (Floats)yes, (Floats)no); }
INLINE Ints all_ints(int32_t value) { return value - (Ints){0}; }

INLINE int any(Ints mask) {
#if WIDTH == 16
    typedef int8_t Bytes __attribute__((vector_size(WIDTH)));
    typedef int64_t Words __attribute__((vector_size(WIDTH)));
    const Words words = (Words)__builtin_convertvector(mask, Bytes);
#else
    typedef int64_t Words __attribute__((vector_size(WIDTH * 4)));
    const Words words = (Words)mask;
#endif
    int64_t found = words[0];
    for (size_t i = 1; i < sizeof(words) / 8; i++) found |= words[i];
    return found != 0;
}

/* Labels x ... x + count - 1 of a line. Up to LANES bytes may be written where the line has them, so whoever writes a
 * line goes from left to right. */
INLINE void fill(void *line, int64_t x, int64_t count, int64_t W, int32_t label, const int bytes) {
    typedef uint8_t Block __attribute__((vector_size(LANES)));
    if (bytes == 8) {
        for (int64_t i = 0; i < count; i++) ((int64_t *)line)[x + i] = label;
    } else if (count <= LANES && x + LANES <= W) {
        const Block block = (uint8_t)label - (Block){0};
        memcpy((uint8_t *)line + x, &block, LANES);
    } else
        memset((uint8_t *)line + x, label, (size_t)count);
}

/* Best classes of `count` coarse pixels whose classes are `plane` apart, and their scores into the lines of a row. */
INLINE void survey(const LabelWork *work, const float *scores, int64_t plane, int count, const int many, float *lines,
                   int32_t *best) {
    Floats first[TOGETHER], second[TOGETHER];
    Ints label[TOGETHER];
    for (int j = 0; j < many; j++) {
        first[j] = second[j] = all(-INFINITY);
        label[j] = all_ints(0);
    }
    for (int64_t c = 0; c < work->task->C; c++)
        for (int j = 0; j < many; j++) {
            const Floats score = bounded(load_some(scores + c * plane + j * WIDTH, count));
            if (lines) store_some(lines + c * work->pitch + j * WIDTH, score, count);
            const Ints greater = score > first[j];
            second[j] = choose(greater, first[j], larger(score, second[j]));
            first[j] = choose(greater, score, first[j]);
            label[j] = choose_ints(greater, all_ints((int32_t)c), label[j]);
        }
    for (int j = 0; j < many; j++) {
        const Ints sure = first[j] - second[j] > absolute(first[j]) * 0x1p-20f + 1e-36f;
        const Ints found = choose_ints(sure, label[j], all_ints(UNSURE));
        memcpy(best + j * WIDTH, &found, (size_t)count * sizeof(float));
    }
}

/* Scores of a coarse row, channels last. */
INLINE void turn_row(const LabelWork *work, const float *scores, int64_t plane, float *pixels) {
    const int64_t C = work->task->C, w = work->task->w, padded = work->padded;
    for (int64_t x = 0; x < w; x += WIDTH)
        for (int64_t c = 0; c < padded; c += WIDTH) {
            Floats block[WIDTH];
            for (int i = 0; i < WIDTH; i++)
                block[i] = c + i < C ? bounded(load_some(scores + (c + i) * plane + x, w - x)) : all(-INFINITY);
            transpose(block);
            for (int i = 0; i < WIDTH && x + i < w; i++) store_any(pixels + (x + i) * padded + c, block[i]);
        }
}

static void survey_row(LabelWork *work, int64_t image, int64_t row) {
    const LabelTask *task = work->task;
    const int64_t plane = task->h * task->w, w = task->w, at = image * task->h + row;
    const float *scores = task->scores + image * task->C * plane + row * w;
    float *lines = work->lines ? work->lines + at * task->C * work->pitch : NULL;
    int32_t *best = work->best + at * w;
    for (int64_t x = 0, many; x < w; x += many * WIDTH) { /* whole vectors; some pixels twice where they do not fit */
        many = w - x > 2 * WIDTH ? TOGETHER : w - x > WIDTH ? 2 : 1;
        while (many > 1 && many * WIDTH > w) many /= 2;
        const int64_t start = w < WIDTH ? 0 : least(x, w - many * WIDTH);
        float *to = lines ? lines + start : NULL;
        switch (many) {
        case TOGETHER: survey(work, scores + start, plane, WIDTH, TOGETHER, to, best + start); break;
        case 2: survey(work, scores + start, plane, WIDTH, 2, to, best + start); break;
        default: survey(work, scores + start, plane, (int)least(WIDTH, w), 1, to, best + start);
        }
    }
    if (lines)
        for (int64_t c = 0; c < task->C; c++) lines[c * work->pitch + w] = lines[c * work->pitch + w - 1];
    else
        turn_row(work, scores, plane, work->pixels + at * w * work->padded);
}

/* The class of each cell between two coarse rows, if its four corners share it. */
INLINE void join(const LabelWork *work, int64_t image, int64_t above, int64_t below, int32_t *cells) {
    const int64_t w = work->task->w, first = image * work->task->h;
    const int32_t *top = work->best + (first + above) * w, *bottom = work->best + (first + below) * w;
    for (int64_t x = 0; x < w - 1; x++) {
        const int same = (top[x] == top[x + 1]) & (top[x] == bottom[x]) & (top[x] == bottom[x + 1]);
        cells[x] = same ? top[x] : UNSURE;
    }
    cells[w - 1] = top[w - 1] == bottom[w - 1] ? top[w - 1] : UNSURE;
    if (work->thorough)
        for (int64_t x = 0; x < w; x++) cells[x] = UNSURE;
}

static void join_row(LabelWork *work, int64_t image, int64_t row) {
    const LabelTask *task = work->task;
    join(work, image, row, least(row + 1, task->h - 1), work->cells + (image * task->h + row) * task->w);
}
