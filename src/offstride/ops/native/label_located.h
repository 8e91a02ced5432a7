/* Label maps of location-aware upsampling (LaU, Eq. 2), row by row: first where the cell that a pixel reads has one
 * label, then all classes of the others, a vector of classes at a time. */

/* One axis: the coarse pixel before the clamped coordinate, and the weight of the one after it. A NaN reads pixel 0. */
INLINE void find_cell(Floats wanted, int64_t size, float *far, int32_t *low) {
    const Floats limit = all((float)(size - 1));
    const Floats bounded = choose(wanted < 0.0f, all(0.0f), choose(wanted > limit, limit, wanted));
    const Ints whole = ints(where(bounded >= 0.0f, bounded));
    store(far, bounded - floats(whole));
    *(Ints *)low = whole;
}

/* Labels of a row where the cells have one; returns how many are left, in room->unsure. */
INLINE int64_t look_up(const LabelWork *work, int64_t image, int64_t y, LabelRoom *room) {
    const LabelTask *task = work->task;
    const int64_t W = task->W, w = task->w, plane = task->H * W;
    const float *down = task->offsets + 2 * image * plane + y * W, *right = down + plane;
    const int32_t *cells = work->cells + image * task->h * w;
    int64_t left_over = 0;
    for (int64_t x = 0; x < W; x += WIDTH) {
        const int count = (int)least(WIDTH, W - x);
        Ints label, at;
        find_cell(work->y.base[y] + load_some(down + x, count), task->h, room->far_y + x, room->top + x);
        find_cell(load_some(work->x.base + x, count) + load_some(right + x, count), w, room->far_x + x, room->left + x);
        at = *(Ints *)(room->top + x) * (int32_t)w + *(Ints *)(room->left + x);
        for (int i = 0; i < WIDTH; i++) label[i] = cells[at[i]];
        *(Ints *)(room->label + x) = label;
        if (!any(label == UNSURE)) continue;
        for (int i = 0; i < count; i++) {
            room->unsure[left_over] = (int32_t)x + i;
            left_over += label[i] == UNSURE;
        }
    }
    return left_over;
}

/* Of each of WIDTH vectors the label of the largest value, the smallest of several. */
INLINE Ints best_of(Floats *value, Ints *label) {
    for (int many = WIDTH / 2; many; many /= 2)
        for (int i = 0; i < many; i++) {
            const Floats a = evens(value[2 * i], value[2 * i + 1]), b = odds(value[2 * i], value[2 * i + 1]);
            const Ints m = (Ints)evens((Floats)label[2 * i], (Floats)label[2 * i + 1]);
            const Ints n = (Ints)odds((Floats)label[2 * i], (Floats)label[2 * i + 1]);
            const Ints second = (b > a) | ((b == a) & (n < m));
            value[i] = choose(second, b, a);
            label[i] = choose_ints(second, n, m);
        }
    return label[0];
}

/* Labels of up to WIDTH pixels of a row, by all their scores. */
INLINE void settle_pixels(const LabelWork *work, int64_t image, const int32_t *which, int count, LabelRoom *room,
                          const int64_t vectors) {
    const LabelTask *task = work->task;
    const int64_t w = task->w, padded = vectors * WIDTH;
    const float *pixels = work->pixels + image * task->h * w * padded;
    Floats best[WIDTH];
    Ints label[WIDTH], lanes;
    for (int i = 0; i < WIDTH; i++) lanes[i] = i;
    for (int i = 0; i < WIDTH; i++) {
        const int64_t x = which[i < count ? i : 0], top = room->top[x], left = room->left[x];
        const int64_t right = left < w - 1 ? padded : 0, down = top < task->h - 1 ? w * padded : 0;
        const float *a = pixels + (top * w + left) * padded, *b = a + right, *c = a + down, *d = c + right;
        const float far_y = room->far_y[x], far_x = room->far_x[x], near_y = 1.0f - far_y, near_x = 1.0f - far_x;
        const Floats wa = all(near_y * near_x), wb = all(near_y * far_x);
        const Floats wc = all(far_y * near_x), wd = all(far_y * far_x);
        Floats most = all(-INFINITY);
        Ints where_most = all_ints(0);
        for (int64_t v = 0; v < vectors; v++) {
            const int64_t at = v * WIDTH;
            const Floats score = wa * load(a + at) + wb * load(b + at) + wc * load(c + at) + wd * load(d + at);
            const Ints greater = score > most;
            most = choose(greater, score, most);
            where_most = choose_ints(greater, lanes + (int32_t)at, where_most);
        }
        best[i] = most;
        label[i] = where_most;
    }
    const Ints found = best_of(best, label);
    for (int i = 0; i < count; i++) room->label[which[i]] = found[i];
}

/* Few vectors: the compiler unrolls their loop. */
INLINE void settle_any(const LabelWork *work, int64_t image, const int32_t *which, int count, LabelRoom *room) {
    const int64_t vectors = work->padded / WIDTH;
    switch (vectors) {
    case 1: settle_pixels(work, image, which, count, room, 1); break;
    case 2: settle_pixels(work, image, which, count, room, 2); break;
    case 3: settle_pixels(work, image, which, count, room, 3); break;
    default: settle_pixels(work, image, which, count, room, vectors);
    }
}

INLINE void convert(const int32_t *restrict label, int64_t count, void *restrict out, int64_t bytes) {
    if (bytes == 1)
        for (int64_t x = 0; x < count; x++) ((uint8_t *)out)[x] = (uint8_t)label[x];
    else
        for (int64_t x = 0; x < count; x++) ((int64_t *)out)[x] = label[x];
}

static void located_labels(LabelWork *work, int64_t image, const Segment *rows, LabelRoom *room, uint8_t *out) {
    const int64_t W = work->task->W;
    for (int64_t y = rows->start; y < rows->stop; y++, out += W * work->bytes) {
        const int64_t unsure = look_up(work, image, y, room);
        for (int64_t i = 0; i < unsure; i += WIDTH)
            settle_any(work, image, room->unsure + i, (int)least(WIDTH, unsure - i), room);
        convert(room->label, W, out, work->bytes);
    }
}
