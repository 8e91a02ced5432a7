/* Label maps of bilinear upsampling, a band at a time: fine rows between the same two coarse rows. Lanes of a vector
 * are neighbouring columns of a cell, and two or more of its rows where it is narrow. */

typedef struct {
    const float *top, *bottom; /* (C, pitch): the lines of these two */
    int rows, columns;         /* of the map that share a vector; columns: the rest of its lanes */
    _Alignas(64) float near[LANES * WIDTH], far[LANES * WIDTH]; /* weights of top and bottom, vector by vector */
} Band;

/* Of the corners of WIDTH cells, in one class. */
INLINE Floats lowest_corner(const float *top, const float *bottom) {
    return smaller(smaller(load_any(top), load_any(top + 1)), smaller(load_any(bottom), load_any(bottom + 1)));
}

INLINE Floats highest_corner(const float *top, const float *bottom) {
    return larger(larger(load_any(top), load_any(top + 1)), larger(load_any(bottom), load_any(bottom + 1)));
}

/* Classes that can win in those of WIDTH cells that have no label. */
INLINE void list_candidates(const LabelWork *work, const Band *band, int64_t cell, LabelRoom *room) {
    const int64_t C = work->task->C, pitch = work->pitch;
    const float *top = band->top + cell, *bottom = band->bottom + cell;
    Floats bound = all(-INFINITY);
    for (int64_t c = 0; c < C; c++) bound = larger(lowest_corner(top + c * pitch, bottom + c * pitch), bound);
    bound = work->thorough ? all(-INFINITY) : bound - (absolute(bound) * 0x1p-19f + 1e-36f);
    for (int i = 0; i < WIDTH; i++) {
        room->count[i] = 0;
        if (cell + i >= work->task->w || room->cells[cell + i] != UNSURE) bound[i] = INFINITY;
    }
    room->first = cell;
    for (int64_t c = 0; c < C; c += TOGETHER) { /* mostly none of them can */
        const int some = (int)least(TOGETHER, C - c);
        Ints can[TOGETHER], together = all_ints(0);
        for (int j = 0; j < TOGETHER; j++) {
            const int64_t at = (c + least(j, some - 1)) * pitch;
            can[j] = highest_corner(top + at, bottom + at) >= bound;
            together |= can[j];
        }
        if (!any(together)) continue;
        for (int j = 0; j < some; j++)
            for (int i = 0; i < WIDTH; i++) {
                room->candidates[i * C + room->count[i]] = (int32_t)c + j;
                room->count[i] -= can[j][i];
            }
    }
}

/* Labels of `many` vectors of a cell, the `first` one and its followers. */
INLINE void settle(const LabelWork *work, const Band *band, int64_t column, const float *fractions, int first,
                   const int many, const int32_t *candidates, int count, int32_t *labels) {
    const int64_t left = work->x.low[column], right = work->x.high[column];
    const Floats far = load(fractions), near = 1.0f - far;
    Floats best[TOGETHER];
    Ints label[TOGETHER];
    for (int j = 0; j < many; j++) {
        best[j] = all(-INFINITY);
        label[j] = all_ints(0);
    }
    for (int q = 0; q < count; q++) {
        const int64_t line = candidates[q] * work->pitch;
        const float *top = band->top + line, *bottom = band->bottom + line;
        const Floats above = near * top[left] + far * top[right], below = near * bottom[left] + far * bottom[right];
        for (int j = 0; j < many; j++) {
            const int at = (first + j) * WIDTH;
            const Floats score = load(band->near + at) * above + load(band->far + at) * below;
            const Ints greater = score > best[j];
            best[j] = choose(greater, score, best[j]);
            label[j] = choose_ints(greater, all_ints(candidates[q]), label[j]);
        }
    }
    for (int j = 0; j < many; j++) *(Ints *)(labels + j * WIDTH) = label[j];
}

/* Writes labels, `pitch` of them to a row of which `count` are meant, into rows of the map. */
INLINE void put_rows(const int32_t *labels, int rows, int pitch, int count, int64_t x, int64_t W, uint8_t *out,
                     const int bytes) {
    uint8_t found[TOGETHER * WIDTH];
    if (bytes == 8) {
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < count; j++) ((int64_t *)out)[i * W + x + j] = labels[i * pitch + j];
        return;
    }
    for (int i = 0; i < TOGETHER * WIDTH; i++) found[i] = (uint8_t)labels[i];
    const int width = x + pitch <= W ? pitch : 0; /* what is known when compiled is copied faster */
    for (int i = 0; i < rows; i++) {
        uint8_t *to = out + i * W + x;
        switch (width) {
        case 16: memcpy(to, found + i * 16, 16); break;
        case 8: memcpy(to, found + i * 8, 8); break;
        case 4: memcpy(to, found + i * 4, 4); break;
        default: memcpy(to, found + i * pitch, (size_t)count);
        }
    }
}

/* A segment of columns of a band whose best classes differ. */
INLINE void settle_segment(const LabelWork *work, const Band *band, int64_t s, int rows, const LabelRoom *room,
                           uint8_t *out, const int bytes) {
    const Segment *segment = work->columns + s;
    const int64_t cell = work->x.low[segment->start] - room->first, W = work->task->W;
    const int32_t *candidates = room->candidates + cell * work->task->C;
    const int vectors = (rows + band->rows - 1) / band->rows, count = room->count[cell];
    _Alignas(64) int32_t labels[TOGETHER * WIDTH];
    for (int64_t x = segment->start; x < segment->stop; x += band->columns) {
        const float *fractions = work->fractions + s * LANES + (x - segment->start);
        const int width = (int)least(band->columns, segment->stop - x);
        for (int v = 0; v < vectors; v += TOGETHER) {
            const int first = v * band->rows;
            switch (vectors - v) {
            case 1: settle(work, band, x, fractions, v, 1, candidates, count, labels); break;
            case 2: settle(work, band, x, fractions, v, 2, candidates, count, labels); break;
            default: settle(work, band, x, fractions, v, TOGETHER, candidates, count, labels);
            }
            put_rows(labels, (int)least(TOGETHER * band->rows, rows - first), band->columns, width, x, W,
                     out + first * W * bytes, bytes);
        }
    }
}

INLINE void make_band(const LabelWork *work, int64_t image, const Segment *rows, Band *band) {
    const int height = (int)(rows->stop - rows->start), block = TOGETHER * work->fold;
    const int64_t length = work->task->C * work->pitch;
    const float *lines = work->lines + image * work->task->h * length;
    band->rows = work->fold;
    band->columns = WIDTH / work->fold;
    band->top = lines + work->y.low[rows->start] * length;
    band->bottom = lines + work->y.high[rows->start] * length;
    for (int i = 0; i < (height + block - 1) / block * block; i++)
        for (int j = 0; j < band->columns; j++) {
            const float far = i < height ? work->y.fraction[rows->start + i] : 0.0f;
            band->far[i * band->columns + j] = far;
            band->near[i * band->columns + j] = 1.0f - far;
        }
}

INLINE void bilinear_band(const LabelWork *work, int64_t image, const Segment *rows, LabelRoom *room, uint8_t *out,
                          const int bytes) {
    const int64_t W = work->task->W;
    const int height = (int)(rows->stop - rows->start);
    Band band;
    make_band(work, image, rows, &band);
    join(work, image, work->y.low[rows->start], work->y.high[rows->start], room->cells);
    room->first = -LANES;
    for (int64_t s = 0; s < work->columns_count;) {
        const int64_t x = work->columns[s].start, cell = work->x.low[x]; /* at a border: half of the cell's corners */
        const int32_t label = room->cells[cell];
        if (label == UNSURE) {
            if (cell < room->first || cell >= room->first + WIDTH) list_candidates(work, &band, cell, room);
            settle_segment(work, &band, s++, height, room, out, bytes);
            continue;
        }
        for (s++; s < work->columns_count && room->cells[work->x.low[work->columns[s].start]] == label;) s++;
        for (int y = 0; y < height; y++) fill(out + y * W * bytes, x, work->columns[s - 1].stop - x, W, label, bytes);
    }
}

static void bilinear_labels(LabelWork *work, int64_t image, const Segment *rows, LabelRoom *room, uint8_t *out) {
    if (work->bytes == 1)
        bilinear_band(work, image, rows, room, out, 1);
    else
        bilinear_band(work, image, rows, room, out, 8);
}
