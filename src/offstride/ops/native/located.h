/* Location-aware upsampling (LaU, Eq. 2) and cross-entropy with the losses of Eqs. 3 and 4, LANES pixels at a time: each
 * reads four coarse pixels of its own. The exponentials of a block stay in the cache until its gradients are known. */

enum { CORNERS = 4 }; /* top left, top right, bottom left, bottom right */

typedef struct {
    _Alignas(64) float near_y[LANES], far_y[LANES], near_x[LANES], far_x[LANES]; /* weights of the two rows and columns */
    _Alignas(64) float weight[CORNERS][LANES];
    _Alignas(64) float offset_y[LANES], offset_x[LANES];
    _Alignas(64) float inside_y[LANES], inside_x[LANES];                          /* 1 where the gradient reaches them */
    _Alignas(64) float pull_y[LANES], pull_x[LANES];                              /* gradient of the regression to them */
    _Alignas(64) int32_t top[LANES], bottom[LANES], left[LANES], right[LANES];
    int64_t at[CORNERS][LANES];                                                   /* in floats, from the image's beginning */
} Place;

/* One axis of the coordinates: base + offset, clamped to the map (LaU's release does; Eq. 2 alone would fade the border).
 * A NaN reads pixel 0 with weight NaN. */
INLINE void locate(Floats base, const float *offset, int64_t size, float *near, float *far, float *inside, int32_t *low,
                   int32_t *high) {
    const Floats limit = all((float)(size - 1)), none = all(0.0f), wanted = base + load(offset);
    store(inside, where((wanted >= 0.0f) & (wanted <= limit), all(1.0f)));
    const Floats bounded = choose(wanted < 0.0f, none, choose(wanted > limit, limit, wanted));
    const Ints whole = ints(where(bounded >= 0.0f, bounded));
    const Floats fraction = bounded - floats(whole);
    store(near, 1.0f - fraction);
    store(far, fraction);
    *(Ints *)low = whole;
    *(Ints *)high = whole - (Ints)(whole < (int32_t)(size - 1)); /* true is -1 */
}

/* A block of floats of which there may be fewer. */
INLINE void copy_filled(float *to, const float *from, int count) {
    if (count == LANES) {
        memcpy(to, from, LANES * sizeof(float));
        return;
    }
    for (int i = 0; i < LANES; i++) to[i] = i < count ? from[i] : 0.0f;
}

/* Where the pixels x ... x + LANES - 1 of row y read, and with which weights. */
INLINE void find_places(const Work *work, int64_t image, int64_t y, int64_t x, int count, Place *place) {
    const Task *task = work->task;
    const int64_t plane = task->H * task->W, w = task->w;
    const float *from = task->offsets + 2 * image * plane + y * task->W + x;
    _Alignas(64) float base[LANES];
    copy_filled(place->offset_y, from, count);
    copy_filled(place->offset_x, from + plane, count);
    copy_filled(base, work->x.base + x, count);
    for (int i = 0; i < LANES; i += WIDTH) {
        locate(all(work->y.base[y]), place->offset_y + i, task->h, place->near_y + i, place->far_y + i, place->inside_y + i,
               place->top + i, place->bottom + i);
        locate(load(base + i), place->offset_x + i, w, place->near_x + i, place->far_x + i, place->inside_x + i,
               place->left + i, place->right + i);
        store(place->pull_y + i, all(0.0f));
        store(place->pull_x + i, all(0.0f));
        store(place->weight[0] + i, load(place->near_y + i) * load(place->near_x + i));
        store(place->weight[1] + i, load(place->near_y + i) * load(place->far_x + i));
        store(place->weight[2] + i, load(place->far_y + i) * load(place->near_x + i));
        store(place->weight[3] + i, load(place->far_y + i) * load(place->far_x + i));
    }
    for (int i = 0; i < LANES; i++) {
        const int64_t top = place->top[i] * w, bottom = place->bottom[i] * w;
        place->at[0][i] = (top + place->left[i]) * work->padded;
        place->at[1][i] = (top + place->right[i]) * work->padded;
        place->at[2][i] = (bottom + place->left[i]) * work->padded;
        place->at[3][i] = (bottom + place->right[i]) * work->padded;
    }
}

INLINE Floats smooth_l1(Floats x) {
    const Floats size = larger(x, -x);
    return choose(size < 1.0f, 0.5f * x * x, size - 0.5f);
}

INLINE Floats bounded_by_one(Floats x) {
    x = choose(x < -1.0f, all(-1.0f), x);
    return choose(x > 1.0f, all(1.0f), x);
}

/* Coarse locations whose losses are fetched before the first is compared: a vector load soon after the stores of its
 * single floats would wait for them. */
enum { AHEAD = 4 };

typedef struct {
    _Alignas(64) float lse[AHEAD][LANES], value[AHEAD][LANES], mean[AHEAD][LANES], column[AHEAD][LANES];
    float row[AHEAD];
    int count;
} Candidates;

/* LANES floats from anywhere, one by one: vectors put together from them on the way were slower. */
PLAIN_LOOPS static void fetch(const float *from, const int32_t *at, float *to) {
    for (int i = 0; i < LANES; i++) to[i] = from[at[i]];
}

/* Of several equal losses the first one stays. */
INLINE void compare(const Work *work, const Pixels *p, Candidates *found, float *best, float *best_y, float *best_x) {
    for (int j = 0; j < found->count; j++)
        for (int i = 0; i < LANES; i += WIDTH) {
            const Floats loss = loss_of(work, load(found->lse[j] + i), load(found->value[j] + i), load(found->mean[j] + i),
                                        load(p->class_weight + i));
            const Ints less = loss < load(best + i);
            store(best + i, choose(less, loss, load(best + i)));
            store(best_y + i, choose(less, all(found->row[j]), load(best_y + i)));
            store(best_x + i, choose(less, load(found->column[j] + i), load(best_x + i)));
        }
    found->count = 0;
}

/* The least loss among the coarse locations around each undisplaced pixel, and where it is; the first of several wins.
 * One coarse log-sum-exp map has them all: the loss of a label there is lse - score. */
INLINE void search(const Work *work, int64_t image, int64_t y, int64_t x, const Pixels *p, float *best, float *best_y,
                   float *best_x) {
    const Task *task = work->task;
    const int64_t map = image * task->h * task->w;
    const int32_t reach = (int32_t)task->window - 1, last = (int32_t)task->w - 1, padded = (int32_t)work->padded;
    const int64_t top = work->y.floor[y] > reach ? work->y.floor[y] - reach : 0;
    const int64_t bottom = least(work->y.ceiling[y] + reach, task->h - 1);
    const int wide = is_wide(work, image, top, bottom + 1);
    Candidates found;
    found.count = 0;
    memset(found.mean, 0, sizeof(found.mean));
    for (int i = 0; i < LANES; i++) best[i] = INFINITY, best_y[i] = best_x[i] = 0.0f;
    for (int32_t step = 0; step < 2 * task->window; step++) {
        _Alignas(64) int32_t at[LANES], label_at[LANES];
        _Alignas(64) float column[LANES];
        for (int i = 0; i < LANES; i += WIDTH) { /* where floor and ceiling agree, the last one comes twice */
            const Ints wanted = load_whole(work->x.floor + x + i) + (step - reach);
            const Ints limit = load_whole(work->x.ceiling + x + i) + reach;
            Ints place = lesser(wanted, lesser(limit, last - (Ints){0}));
            place &= place >= 0;
            *(Ints *)(at + i) = place;
            *(Ints *)(label_at + i) = place * padded + *(const Ints *)(p->label + i);
            store(column + i, floats(place));
        }
        for (int64_t row = top; row <= bottom; row++) {
            const float *line = work->table + (map + row * task->w) * work->padded;
            const int j = found.count++;
            float *value = found.value[j], *mean = found.mean[j];
            fetch(work->coarse_lse + map + row * task->w, at, found.lse[j]);
            fetch(line, label_at, value);
            if (task->smoothing != 0.0f)
                for (int i = 0; i < LANES; i++) mean[i] = line[at[i] * work->padded + task->C];
            if (wide) { /* elsewhere the largest score is 0 */
                const float *peaks = work->coarse_peak + map + row * task->w;
                for (int i = 0; i < LANES; i++) value[i] -= peaks[at[i]], mean[i] -= work->weight_sum * peaks[at[i]];
            }
            memcpy(found.column[j], column, sizeof(column));
            found.row[j] = (float)row;
            if (found.count == AHEAD) compare(work, p, &found, best, best_y, best_x);
        }
    }
    compare(work, p, &found, best, best_y, best_x);
}

/* Eq. 4: what draws the offsets to the best place, and the penalty of the pixels for which it is better than their own. */
INLINE void regress(const Work *work, Unit *unit, int64_t y, int64_t x, int count, Pixels *p, Place *place) {
    const Task *task = work->task;
    const float each = 0.5f * task->strength * task->pull_scale;
    _Alignas(64) float best[LANES], best_y[LANES], best_x[LANES], base[LANES];
    Floats pull = all(0.0f);
    search(work, unit->image, y, x, p, best, best_y, best_x);
    copy_filled(base, work->x.base + x, count);
    for (int i = 0; i < LANES; i += WIDTH) {
        const Ints valid = load(p->valid + i) != 0.0f;
        const Ints moved = valid & (load(p->loss + i) > load(best + i) * (1.0f + task->noise) + 1e-6f);
        const Floats away_y = load(place->offset_y + i) - (load(best_y + i) - work->y.base[y]);
        const Floats away_x = load(place->offset_x + i) - (load(best_x + i) - load(base + i));
        store(p->factor + i, 1.0f + where(moved, all(task->penalty)));
        pull += where(moved, smooth_l1(away_y) + smooth_l1(away_x));
        store(place->pull_y + i, where(moved, each * bounded_by_one(away_y)));
        store(place->pull_x + i, where(moved, each * bounded_by_one(away_x)));
    }
    unit->pull += 0.5 * (double)sum_of(pull);
}

/* Eq. 3: the penalty of pixels that their displacement has not improved. Zero offsets tie and are penalised. */
INLINE void guide(const Task *task, const float *plain, Pixels *p) {
    for (int i = 0; i < LANES; i += WIDTH) {
        const Floats loss = load(p->loss + i), other = load_any(plain + i);
        const Ints worse = loss > other * (1.0f + task->noise) + 1e-6f;
        const Ints improved = other > loss * (1.0f + task->noise) + 1e-6f;
        store(p->factor + i, 1.0f + where(task->ties == TIES_SPARE ? worse : ~improved, all(task->penalty)));
    }
}

INLINE float mixed(const float *table, const Place *place, int i, int64_t channel) {
    return place->weight[0][i] * table[place->at[0][i] + channel] + place->weight[1][i] * table[place->at[1][i] + channel] +
           place->weight[2][i] * table[place->at[2][i] + channel] + place->weight[3][i] * table[place->at[3][i] + channel];
}

/* Exponentials of a pixel's scores into `out`, and their sum lane by lane. */
INLINE Floats exponentials(const float *table, const Place *place, int i, float *out, const int64_t vectors, Ints mask) {
    const float *a = table + place->at[0][i], *b = table + place->at[1][i];
    const float *c = table + place->at[2][i], *d = table + place->at[3][i];
    const Floats wa = all(place->weight[0][i]), wb = all(place->weight[1][i]);
    const Floats wc = all(place->weight[2][i]), wd = all(place->weight[3][i]);
    Floats total = all(0.0f);
    for (int64_t v = 0; v < vectors; v++) {
        const int64_t at = v * WIDTH;
        Floats e = exp_near(wa * load(a + at) + wb * load(b + at) + wc * load(c + at) + wd * load(d + at));
        if (v == vectors - 1) e = where(mask, e);
        store(out + at, e);
        total += e;
    }
    return total;
}

/* The same for scores that are far apart, less their maximum. */
INLINE Floats exponentials_wide(const float *table, const Place *place, int i, float *out, const int64_t vectors, Ints mask,
                                float *peak) {
    Floats peaks = all(-INFINITY), total = all(0.0f);
    for (int64_t v = 0; v < vectors; v++) {
        Floats score = all(0.0f);
        for (int j = 0; j < CORNERS; j++) score += place->weight[j][i] * load(table + place->at[j][i] + v * WIDTH);
        store(out + v * WIDTH, score);
        peaks = larger(v == vectors - 1 ? lowest_outside(mask, score) : score, peaks);
    }
    *peak = largest(peaks);
    for (int64_t v = 0; v < vectors; v++) {
        Floats e = exp_far(load(out + v * WIDTH) - *peak);
        if (v == vectors - 1) e = where(mask, e);
        store(out + v * WIDTH, e);
        total += e;
    }
    return total;
}

/* Turns exponentials into the gradient but for its factor `soft`: less their sum at the label, and the smoothing channel.
 * Done long before the gradient is read: a vector load right after the store of one of its floats would wait for it. */
INLINE void mark_labels(const Work *work, const Pixels *p, float *e) {
    const Task *task = work->task;
    const float each = task->smoothing / (float)task->C, rest = 1.0f - task->smoothing;
    if (task->smoothing == 0.0f) {
        for (int i = 0; i < LANES; i++)
            if (p->valid[i] != 0.0f) e[i * work->padded + p->label[i]] -= p->sum[i];
        return;
    }
    for (int i = 0; i < LANES; i++) {
        if (p->valid[i] == 0.0f) continue;
        const float hot = rest * p->class_weight[i], soft = hot + each * work->weight_sum;
        e[i * work->padded + p->label[i]] -= p->sum[i] * (soft > 0.0f ? hot / soft : 0.0f);
        e[i * work->padded + task->C] = p->sum[i] * (soft > 0.0f ? -each / soft : 0.0f);
    }
}

/* The gradient of a pixel: to the four coarse pixels it read, and lane by lane, but for its factor, to its place. */
INLINE void spread_gradient(const float *table, const Place *place, int i, const float *e, float factor,
                            const int64_t vectors, float *gradient, Floats *along_y, Floats *along_x) {
    const float *a = table + place->at[0][i], *b = table + place->at[1][i];
    const float *c = table + place->at[2][i], *d = table + place->at[3][i];
    float *to_a = gradient + place->at[0][i], *to_b = gradient + place->at[1][i];
    float *to_c = gradient + place->at[2][i], *to_d = gradient + place->at[3][i];
    const Floats wa = all(place->weight[0][i] * factor), wb = all(place->weight[1][i] * factor);
    const Floats wc = all(place->weight[2][i] * factor), wd = all(place->weight[3][i] * factor);
    Floats dot_a = all(0.0f), dot_b = dot_a, dot_c = dot_a, dot_d = dot_a;
    for (int64_t v = 0; v < vectors; v++) {
        const int64_t at = v * WIDTH;
        const Floats g = load(e + at);
        dot_a += g * load(a + at);
        dot_b += g * load(b + at);
        dot_c += g * load(c + at);
        dot_d += g * load(d + at);
        store(to_a + at, load(to_a + at) + wa * g);
        store(to_b + at, load(to_b + at) + wb * g);
        store(to_c + at, load(to_c + at) + wc * g);
        store(to_d + at, load(to_d + at) + wd * g);
    }
    *along_x = place->near_y[i] * (dot_b - dot_a) + place->far_y[i] * (dot_d - dot_c);
    *along_y = place->near_x[i] * (dot_c - dot_a) + place->far_x[i] * (dot_d - dot_b);
}

/* Gradient of the offsets; 0 outside the map even where the sums are not finite, NaN where the offset is. */
INLINE void write_offsets(const Task *task, int64_t image, int64_t y, int64_t x, int count, const Place *place,
                          const Pixels *p, const Floats *along_y, const Floats *along_x) {
    _Alignas(64) float to_y[LANES], to_x[LANES];
    sums(along_y, LANES, to_y);
    sums(along_x, LANES, to_x);
    for (int i = 0; i < LANES; i += WIDTH) {
        const Floats near_y = load(place->near_y + i), near_x = load(place->near_x + i), soft = load(p->soft + i);
        const Ints valid = load(p->valid + i) != 0.0f;
        Floats found_y = choose(load(place->inside_y + i) != 0.0f, soft * load(to_y + i), near_y - near_y);
        Floats found_x = choose(load(place->inside_x + i) != 0.0f, soft * load(to_x + i), near_x - near_x);
        store(to_y + i, where(valid, found_y) + load(place->pull_y + i));
        store(to_x + i, where(valid, found_x) + load(place->pull_x + i));
    }
    const int64_t plane = task->H * task->W;
    float *to = task->grad_offsets + 2 * image * plane + y * task->W + x;
    memcpy(to, to_y, (size_t)count * sizeof(float));
    memcpy(to + plane, to_x, (size_t)count * sizeof(float));
}

/* A block of pixels of one row, of `vectors` vectors of channels each. */
INLINE void located_block(const Work *work, Unit *unit, int64_t y, int64_t x, const float *plain, float *e, Pixels *p,
                          const int64_t vectors, int wide, Ints mask) {
    const Task *task = work->task;
    const int64_t padded = vectors * WIDTH, image = unit->image * task->h * task->w * padded;
    const int64_t at = (unit->image * task->H + y) * task->W + x;
    const int count = (int)least(LANES, task->W - x);
    const float *table = work->table + image;
    Floats one[LANES], two[LANES];
    Place place;
    find_places(work, unit->image, y, x, count, &place);
    read_labels(work, at, count, p);
    for (int i = 0; i < LANES; i++) {
        p->value[i] = mixed(table, &place, i, p->label[i]);
        if (task->smoothing != 0.0f) p->mean[i] = mixed(table, &place, i, task->C);
        if (p->valid[i] == 0.0f)
            one[i] = all(1.0f / WIDTH);
        else if (wide)
            one[i] = exponentials_wide(table, &place, i, e + i * padded, vectors, mask, p->peak + i);
        else
            one[i] = exponentials(table, &place, i, e + i * padded, vectors, mask);
    }
    sums(one, LANES, p->sum);
    if (task->grad_scores) mark_labels(work, p, e);
    finish_losses(work, count, p);
    if (plain) guide(task, plain + x, p);
    if (task->location == LOCATION_REGRESSION) regress(work, unit, y, x, count, p, &place);
    weigh(work, at, count, p, unit);
    if (!task->grad_scores) return;
    float *gradient = work->partial + unit->at - unit->first * task->w * padded;
    for (int i = 0; i < LANES; i++) {
        if (p->valid[i] != 0.0f)
            spread_gradient(table, &place, i, e + i * padded, p->soft[i], vectors, gradient, one + i, two + i);
        else
            one[i] = two[i] = all(0.0f);
    }
    write_offsets(task, unit->image, y, x, count, &place, p, one, two);
}

/* Few vectors: the compiler unrolls their loops. */
INLINE void any_block(const Work *work, Unit *unit, int64_t y, int64_t x, const float *plain, float *e, Pixels *p, int wide,
                      Ints mask) {
    const int64_t vectors = work->padded / WIDTH;
    switch (vectors) {
    case 1: located_block(work, unit, y, x, plain, e, p, 1, wide, mask); break;
    case 2: located_block(work, unit, y, x, plain, e, p, 2, wide, mask); break;
    case 3: located_block(work, unit, y, x, plain, e, p, 3, wide, mask); break;
    case 4: located_block(work, unit, y, x, plain, e, p, 4, wide, mask); break;
    default: located_block(work, unit, y, x, plain, e, p, vectors, wide, mask);
    }
}

/* Stretch by stretch, all the rows of each: what they read and write mostly fits the first cache. */
static int located_unit(Work *work, Unit *unit) {
    const Task *task = work->task;
    const Ints mask = class_lanes(work);
    const int wide = is_wide(work, unit->image, unit->first, unit->last), guided = task->location == LOCATION_GUIDED;
    const int64_t pitch = whole_blocks((int)task->W), rows = unit->stop - unit->start;
    Line line;
    Pixels pixels;
    float *e = offstride_allocate(LANES * work->padded, sizeof(float));
    float *plain = guided ? offstride_allocate(rows * pitch, sizeof(float)) : NULL;
    if (!e || (guided && (!plain || make_room(work, &line, 0)))) {
        free(e);
        free(plain);
        return -1;
    }
    if (task->grad_scores) {
        const int64_t length = (unit->last - unit->first) * task->w * work->padded;
        memset(work->partial + unit->at, 0, (size_t)length * sizeof(float));
    }
    if (guided) {
        memset(plain, 0, (size_t)(rows * pitch) * sizeof(float));
        plain_losses(work, unit, &line, &pixels, mask, plain, pitch);
        free_line(&line);
    }
    for (int64_t begin = 0; begin < task->W; begin += STRETCH)
        for (int64_t y = unit->start; y < unit->stop; y++)
            for (int64_t x = begin; x < task->W && x < begin + STRETCH; x += LANES)
                any_block(work, unit, y, x, guided ? plain + (y - unit->start) * pitch : NULL, e, &pixels, wide, mask);
    free(e);
    free(plain);
    return 0;
}
