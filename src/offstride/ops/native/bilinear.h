/* Bilinear upsampling and cross-entropy, a fine row at a time.
 *
 * Inside a cell the scores are linear in x, so each exponential is the one to its left times a constant: one exp and one
 * ratio per cell and channel, then products. Backward, the two sums over the pixels of a cell that its left and right
 * column need are polynomials in that ratio (Horner). */

typedef struct {
    float *scores;    /* (w, padded): the table between two coarse rows */
    float *gradient;  /* (w, padded): of that line */
    float *first;     /* (segments of a stretch, padded): exponentials of the first pixel */
    float *ratio;     /* (segments of a stretch, padded) */
    Floats *partial;  /* (STRETCH + LANES): sums over channels of each pixel, lane by lane */
} Line;

INLINE int is_wide(const Work *work, int64_t image, int64_t first, int64_t last) {
    int wide = 0;
    for (int64_t row = first; row < last; row++) wide |= work->wide[image * work->task->h + row];
    return wide;
}

/* exp of the first pixel of a cell and the ratio of neighbours, for `many` vectors of channels; then all its pixels. */
INLINE void spread(const Work *work, const Segment *segment, const float *scores, float *first, float *ratio,
                   Floats *partial, int64_t v, const int many, int begins, Ints mask) {
    const Axis *x = &work->x;
    const int64_t padded = work->padded;
    const int64_t left = x->low[segment->start], right = x->high[segment->start];
    const float fraction = x->fraction[segment->start], step = left == right ? 0.0f : x->step;
    Floats e[TOGETHER], q[TOGETHER];
    for (int j = 0; j < many; j++) {
        Floats a = load(scores + left * padded + (v + j) * WIDTH);
        Floats d = load(scores + right * padded + (v + j) * WIDTH) - a;
        e[j] = exp_near(a + fraction * d);
        q[j] = exp_near(d * step);
        if ((v + j + 1) * WIDTH == padded) e[j] = where(mask, e[j]), q[j] = where(mask, q[j]);
        store(first + (v + j) * WIDTH, e[j]);
        store(ratio + (v + j) * WIDTH, q[j]);
    }
    const int count = (int)(segment->stop - segment->start);
    for (int i = 0; i < count; i++) {
        Floats total = e[0];
        for (int j = 1; j < many; j++) total += e[j];
        partial[i] = begins ? total : partial[i] + total;
        for (int j = 0; j < many; j++) e[j] *= q[j];
    }
}

/* Gradient of a cell's two columns from all its pixels, for `many` vectors of channels. */
INLINE void collect(const Work *work, const Segment *segment, const float *soft, const float *softly, const float *first,
                    const float *ratio, float *gradient, int64_t v, const int many) {
    const int64_t padded = work->padded;
    float *left = gradient + work->x.low[segment->start] * padded, *right = gradient + work->x.high[segment->start] * padded;
    Floats q[TOGETHER], both[TOGETHER], far[TOGETHER];
    for (int j = 0; j < many; j++) {
        q[j] = load(ratio + (v + j) * WIDTH);
        both[j] = far[j] = all(0.0f);
    }
    for (int i = (int)(segment->stop - segment->start) - 1; i >= 0; i--)
        for (int j = 0; j < many; j++) {
            both[j] = both[j] * q[j] + soft[i];
            far[j] = far[j] * q[j] + softly[i];
        }
    for (int j = 0; j < many; j++) {
        const int64_t at = (v + j) * WIDTH;
        Floats e = load(first + at);
        store(left + at, load(left + at) + (both[j] - far[j]) * e);
        store(right + at, load(right + at) + far[j] * e);
    }
}

/* The same for scores that are far apart: each pixel has a maximum and its own exponentials. */
INLINE void spread_wide(const Work *work, int64_t x, const float *scores, Pixels *p, int i, Ints mask) {
    const int64_t padded = work->padded, vectors = padded / WIDTH;
    const float *left = scores + work->x.low[x] * padded, *right = scores + work->x.high[x] * padded;
    const float fraction = work->x.fraction[x];
    Floats peaks = all(-INFINITY), total = all(0.0f);
    for (int64_t v = 0; v < vectors; v++) {
        Floats a = load(left + v * WIDTH), score = a + fraction * (load(right + v * WIDTH) - a);
        peaks = larger(v == vectors - 1 ? lowest_outside(mask, score) : score, peaks);
    }
    p->peak[i] = largest(peaks);
    for (int64_t v = 0; v < vectors; v++) {
        Floats a = load(left + v * WIDTH), score = a + fraction * (load(right + v * WIDTH) - a);
        Floats e = exp_far(score - p->peak[i]);
        total += v == vectors - 1 ? where(mask, e) : e;
    }
    p->sum[i] = sum_of(total);
}

INLINE void collect_wide(const Work *work, int64_t x, const float *scores, const Pixels *p, int i, float *gradient,
                         Ints mask) {
    const int64_t padded = work->padded, vectors = padded / WIDTH;
    const int64_t at_left = work->x.low[x] * padded, at_right = work->x.high[x] * padded;
    const float fraction = work->x.fraction[x];
    for (int64_t v = 0; v < vectors; v++) {
        Floats a = load(scores + at_left + v * WIDTH), b = load(scores + at_right + v * WIDTH);
        Floats g = exp_far(a + fraction * (b - a) - p->peak[i]) * p->soft[i];
        if (v == vectors - 1) g = where(mask, g);
        float *left = gradient + at_left + v * WIDTH, *right = gradient + at_right + v * WIDTH;
        store(left, load(left) + (1.0f - fraction) * g);
        store(right, load(right) + fraction * g);
    }
}

/* What is subtracted at the labels, and the smoothing channel. Neighbours mostly share their label and their cell: they
 * are added up first. */
INLINE void subtract_labels(const Work *work, int64_t x, int count, const Pixels *p, float *gradient) {
    const int64_t padded = work->padded, C = work->task->C;
    const Axis *axis = &work->x;
    for (int i = 0; i < count;) {
        const int64_t left = axis->low[x + i], right = axis->high[x + i];
        const int32_t label = p->label[i];
        float near = 0.0f, far = 0.0f;
        for (; i < count && p->label[i] == label && axis->low[x + i] == left && axis->high[x + i] == right; i++) {
            near += p->hot[i] * (1.0f - axis->fraction[x + i]);
            far += p->hot[i] * axis->fraction[x + i];
        }
        gradient[left * padded + label] -= near;
        gradient[right * padded + label] -= far;
    }
    if (work->task->smoothing == 0.0f) return;
    for (int i = 0; i < count; i++) {
        gradient[axis->low[x + i] * padded + C] += p->smooth[i] * (1.0f - axis->fraction[x + i]);
        gradient[axis->high[x + i] * padded + C] += p->smooth[i] * axis->fraction[x + i];
    }
}

/* Scores of the labels of some pixels of a line, and its smoothing channel. */
INLINE void read_scores(const Work *work, int64_t x, int count, const float *scores, Pixels *p) {
    const int64_t padded = work->padded, C = work->task->C;
    const Axis *axis = &work->x;
    for (int i = 0; i < count; i++) {
        const float *left = scores + axis->low[x + i] * padded, *right = scores + axis->high[x + i] * padded;
        const float fraction = axis->fraction[x + i];
        p->value[i] = left[p->label[i]] + fraction * (right[p->label[i]] - left[p->label[i]]);
        if (work->task->smoothing != 0.0f) p->mean[i] = left[C] + fraction * (right[C] - left[C]);
    }
}

/* Sums of exponentials of the pixels of segments begin ... end - 1, whose first pixel is x. */
INLINE void spread_all(const Work *work, Line *line, int64_t begin, int64_t end, int64_t x, int count, Pixels *p, int wide,
                       Ints mask) {
    if (wide) {
        for (int i = 0; i < count; i++) spread_wide(work, x + i, line->scores, p, i, mask);
        return;
    }
    const int64_t padded = work->padded, vectors = padded / WIDTH;
    for (int64_t s = begin; s < end; s++) {
        const Segment *segment = work->columns + s;
        float *first = line->first + (s - begin) * padded, *ratio = line->ratio + (s - begin) * padded;
        Floats *partial = line->partial + (segment->start - x);
        int64_t v = 0;
        for (; v + TOGETHER <= vectors; v += TOGETHER)
            spread(work, segment, line->scores, first, ratio, partial, v, TOGETHER, v == 0, mask);
        if (v + 2 <= vectors) {
            spread(work, segment, line->scores, first, ratio, partial, v, 2, v == 0, mask);
            v += 2;
        }
        if (v < vectors) spread(work, segment, line->scores, first, ratio, partial, v, 1, v == 0, mask);
    }
    int filled = count;
    for (; filled % LANES; filled++) line->partial[filled] = all(1.0f / WIDTH);
    sums(line->partial, filled, p->sum);
}

INLINE void collect_all(const Work *work, Line *line, int64_t begin, int64_t end, int64_t x, int count, const Pixels *p,
                        int wide, Ints mask) {
    if (wide) {
        for (int i = 0; i < count; i++)
            if (p->valid[i] != 0.0f) collect_wide(work, x + i, line->scores, p, i, line->gradient, mask);
        return;
    }
    const int64_t padded = work->padded, vectors = padded / WIDTH;
    float softly[STRETCH];
    for (int i = 0; i < count; i++) softly[i] = p->soft[i] * work->x.fraction[x + i];
    for (int64_t s = begin; s < end; s++) {
        const Segment *segment = work->columns + s;
        const float *first = line->first + (s - begin) * padded, *ratio = line->ratio + (s - begin) * padded;
        const int64_t at = segment->start - x;
        int64_t v = 0;
        for (; v + TOGETHER <= vectors; v += TOGETHER)
            collect(work, segment, p->soft + at, softly + at, first, ratio, line->gradient, v, TOGETHER);
        if (v + 2 <= vectors) {
            collect(work, segment, p->soft + at, softly + at, first, ratio, line->gradient, v, 2);
            v += 2;
        }
        if (v < vectors) collect(work, segment, p->soft + at, softly + at, first, ratio, line->gradient, v, 1);
    }
}

/* The table between the two coarse rows that fine row y lies between, from coarse column `left` to `right`. */
INLINE void make_line(const Work *work, int64_t image, int64_t y, int64_t left, int64_t right, float *scores) {
    const int64_t length = work->task->w * work->padded;
    const float *table = work->table + image * work->task->h * length;
    const float *above = table + work->y.low[y] * length, *below = table + work->y.high[y] * length;
    const float fraction = work->y.fraction[y];
    for (int64_t i = left * work->padded; i < (right + 1) * work->padded; i += WIDTH) {
        Floats a = load(above + i);
        store(scores + i, a + fraction * (load(below + i) - a));
    }
}

/* Hands the gradient of a line on to its two coarse rows and clears it. */
INLINE void hand_on(const Work *work, const Unit *unit, int64_t y, int64_t left, int64_t right, float *gradient) {
    const int64_t length = work->task->w * work->padded;
    float *partial = work->partial + unit->at;
    float *above = partial + (work->y.low[y] - unit->first) * length, *below = partial + (work->y.high[y] - unit->first) * length;
    const float fraction = work->y.fraction[y];
    for (int64_t i = left * work->padded; i < (right + 1) * work->padded; i += WIDTH) {
        Floats g = load(gradient + i);
        store(above + i, load(above + i) + (1.0f - fraction) * g);
        store(below + i, load(below + i) + fraction * g);
        store(gradient + i, all(0.0f));
    }
}

static void free_line(Line *line) {
    free(line->scores);
    free(line->gradient);
    free(line->first);
    free(line->ratio);
    free(line->partial);
}

static int make_room(const Work *work, Line *line, int gradient) {
    const int64_t length = work->task->w * work->padded;
    line->scores = offstride_allocate(length, sizeof(float));
    line->gradient = gradient ? offstride_allocate(length, sizeof(float)) : NULL;
    line->first = offstride_allocate(STRETCH * work->padded, sizeof(float));
    line->ratio = offstride_allocate(STRETCH * work->padded, sizeof(float));
    line->partial = offstride_allocate(STRETCH + LANES, sizeof(Floats));
    if (line->scores && (line->gradient || !gradient) && line->first && line->ratio && line->partial) return 0;
    free_line(line);
    return -1;
}

/* Segments begin ... of at most STRETCH pixels; returns where they end. */
INLINE int64_t stretch_of(const Work *work, int64_t begin) {
    int64_t end = begin + 1;
    while (end < work->columns_count && work->columns[end].stop - work->columns[begin].start <= STRETCH) end++;
    return end;
}

/* Losses of the pixels of segments begin ... end - 1 of row y; returns their number. */
INLINE int stretch_losses(const Work *work, int64_t image, int64_t y, int64_t begin, int64_t end, Line *line, Pixels *p,
                          int wide, Ints mask) {
    const Task *task = work->task;
    const int64_t x = work->columns[begin].start, last = work->columns[end - 1].stop - 1;
    const int count = (int)(last + 1 - x);
    make_line(work, image, y, work->x.low[x], work->x.high[last], line->scores);
    read_labels(work, (image * task->H + y) * task->W + x, count, p);
    read_scores(work, x, count, line->scores, p);
    spread_all(work, line, begin, end, x, count, p, wide, mask);
    finish_losses(work, count, p);
    return count;
}

/* Losses of the undisplaced rows of a unit, without gradients: L' of LaU, Eq. 3. Rows of `losses` are `pitch` apart. */
INLINE void plain_losses(const Work *work, const Unit *unit, Line *line, Pixels *p, Ints mask, float *losses,
                         int64_t pitch) {
    for (int64_t begin = 0, end; begin < work->columns_count; begin = end) {
        end = stretch_of(work, begin);
        for (int64_t y = unit->start; y < unit->stop; y++) {
            const int wide = is_wide(work, unit->image, work->y.low[y], work->y.high[y] + 1);
            const int count = stretch_losses(work, unit->image, y, begin, end, line, p, wide, mask);
            memcpy(losses + (y - unit->start) * pitch + work->columns[begin].start, p->loss, (size_t)count * sizeof(float));
        }
    }
}

/* Column by column of stretches: what a stretch of all the rows reads and writes fits the first cache. */
static int bilinear_unit(Work *work, Unit *unit) {
    const Task *task = work->task;
    const Ints mask = class_lanes(work);
    const int64_t length = task->w * work->padded;
    const int gradient = task->grad_scores != NULL;
    Line line;
    Pixels pixels;
    if (make_room(work, &line, gradient)) return -1;
    if (gradient) {
        memset(line.gradient, 0, (size_t)length * sizeof(float));
        memset(work->partial + unit->at, 0, (size_t)((unit->last - unit->first) * length) * sizeof(float));
    }
    for (int64_t begin = 0, end; begin < work->columns_count; begin = end) {
        end = stretch_of(work, begin);
        const int64_t x = work->columns[begin].start, last = work->columns[end - 1].stop - 1;
        for (int64_t y = unit->start; y < unit->stop; y++) {
            const int wide = is_wide(work, unit->image, work->y.low[y], work->y.high[y] + 1);
            const int count = stretch_losses(work, unit->image, y, begin, end, &line, &pixels, wide, mask);
            weigh(work, (unit->image * task->H + y) * task->W + x, count, &pixels, unit);
            if (!gradient) continue;
            collect_all(work, &line, begin, end, x, count, &pixels, wide, mask);
            subtract_labels(work, x, count, &pixels, line.gradient);
            hand_on(work, unit, y, work->x.low[x], work->x.high[last], line.gradient);
        }
    }
    free_line(&line);
    return 0;
}
