/* Into the table and out of it again. */

/* One row of coarse scores: channels last, and less the maximum of each pixel where nothing is then below -NARROW_RANGE.
 * Softmax does not notice, and what is interpolated from such pixels can go into exp as it is. Scores that are further
 * apart are centred instead: the smaller they are, the smaller is the rounding when they are interpolated. */
static void pack_row(Work *work, int64_t image, int64_t row) {
    const Task *task = work->task;
    const int64_t C = task->C, plane = task->h * task->w, padded = work->padded;
    const float *line = task->scores + image * C * plane + row * task->w;
    float *table = work->table + (image * plane + row * task->w) * padded;
    unsigned char wide = 0;
    for (int64_t x = 0; x < task->w; x += STRETCH) {
        const int count = (int)least(STRETCH, task->w - x);
        float top[STRETCH] = {0}, bottom[STRETCH], odd[STRETCH];
        for (int i = 0; i < count; i++) top[i] = bottom[i] = line[x + i], odd[i] = 0.0f;
        for (int64_t c = 0; c < C; c++) {
            const float *scores = line + c * plane + x;
            for (int i = 0; i < count; i++) {
                float score = scores[i];
                top[i] = score > top[i] ? score : top[i];
                bottom[i] = score < bottom[i] ? score : bottom[i];
                odd[i] += score - score; /* NaN if it is infinite or NaN */
            }
        }
        for (int i = 0; i < count; i++) {
            const int near = odd[i] == 0.0f && top[i] - bottom[i] <= NARROW_RANGE;
            wide |= !near;
            top[i] = near ? top[i] : odd[i] == 0.0f ? 0.5f * top[i] + 0.5f * bottom[i] : 0.0f;
        }
        for (int i = 0; i < count; i += WIDTH)
            for (int64_t c = 0; c < padded; c += WIDTH) {
                Floats block[WIDTH];
                const Floats shift = load_any(top + i);
                for (int j = 0; j < WIDTH; j++)
                    block[j] = c + j < C ? load_some(line + (c + j) * plane + x + i, count - i) - shift : all(0.0f);
                transpose(block);
                for (int j = 0; j < WIDTH && i + j < count; j++) store(table + (x + i + j) * padded + c, block[j]);
            }
        for (int i = 0; i < count && task->smoothing != 0.0f; i++) {
            float *pixel = table + (x + i) * padded, mean = 0.0f;
            for (int64_t c = 0; c < C; c++) mean += (task->weight ? task->weight[c] : 1.0f) * pixel[c];
            pixel[C] = mean;
        }
    }
    work->wide[image * task->h + row] = wide;
    if (!work->coarse_lse) return;
    const Ints mask = class_lanes(work);
    const int64_t vectors = padded / WIDTH;
    for (int64_t x = 0; x < task->w; x++) {
        const float *pixel = table + x * padded;
        Floats peaks = all(-INFINITY), total = all(0.0f);
        for (int64_t v = 0; v < vectors; v++) {
            Floats scores = load(pixel + v * WIDTH);
            peaks = larger(v == vectors - 1 ? lowest_outside(mask, scores) : scores, peaks);
        }
        const float peak = largest(peaks);
        for (int64_t v = 0; v < vectors; v++) {
            Floats e = exp_far(load(pixel + v * WIDTH) - peak);
            total += v == vectors - 1 ? where(mask, e) : e;
        }
        work->coarse_peak[image * plane + row * task->w + x] = peak;
        work->coarse_lse[image * plane + row * task->w + x] = log_near(all(sum_of(total)))[0];
    }
}

/* Adds up what the units have for one coarse row, always in their order, and puts it where the scores came from. */
static void gather_row(Work *work, int64_t image, int64_t row, float *line) {
    const Task *task = work->task;
    const int64_t C = task->C, w = task->w, padded = work->padded, length = w * padded;
    for (int64_t i = 0; i < length; i++) line[i] = 0.0f;
    for (int64_t u = 0; u < work->units_count; u++) {
        const Unit *unit = work->units + u;
        if (unit->image != image || row < unit->first || row >= unit->last) continue;
        const float *partial = work->partial + unit->at + (row - unit->first) * length;
        for (int64_t i = 0; i < length; i++) line[i] += partial[i];
    }
    float *out = task->grad_scores + image * C * task->h * w + row * w;
    for (int64_t x = 0; x < w; x += WIDTH) {
        Floats smooth = all(0.0f);
        if (task->smoothing != 0.0f)
            for (int i = 0; i < WIDTH && x + i < w; i++) smooth[i] = line[(x + i) * padded + C];
        for (int64_t c = 0; c < C; c += WIDTH) {
            Floats block[WIDTH];
            for (int i = 0; i < WIDTH; i++) block[i] = x + i < w ? load(line + (x + i) * padded + c) : all(0.0f);
            transpose(block);
            for (int i = 0; i < WIDTH && c + i < C; i++) {
                if (task->smoothing != 0.0f) block[i] += (task->weight ? task->weight[c + i] : 1.0f) * smooth;
                store_some(out + (c + i) * task->h * w + x, block[i], w - x);
            }
        }
    }
}
