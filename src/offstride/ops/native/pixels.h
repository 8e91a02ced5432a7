/* From the sum of exponentials of a pixel to its loss and to the factors of its gradient, for stretches of pixels. Arrays
 * are filled up to whole blocks with ignored pixels, so that everything works on whole vectors. */

typedef struct {
    _Alignas(64) float valid[STRETCH + LANES];        /* 1, or 0 where the label is ignored */
    _Alignas(64) float class_weight[STRETCH + LANES];
    _Alignas(64) float value[STRETCH + LANES];        /* score of the label */
    _Alignas(64) float mean[STRETCH + LANES];         /* smoothing channel: sum of weighted scores */
    _Alignas(64) float peak[STRETCH + LANES];         /* what the scores were reduced by before exp */
    _Alignas(64) float sum[STRETCH + LANES];          /* of the exponentials */
    _Alignas(64) float loss[STRETCH + LANES];
    _Alignas(64) float factor[STRETCH + LANES];       /* of the loss: 1, or the given weight of the pixel, or 1 + lambda */
    _Alignas(64) float soft[STRETCH + LANES];         /* gradient: times the exponentials */
    _Alignas(64) float hot[STRETCH + LANES];          /* gradient: subtracted at the label */
    _Alignas(64) float smooth[STRETCH + LANES];       /* gradient: added at the smoothing channel */
    _Alignas(64) int32_t label[STRETCH + LANES];      /* 0 where ignored */
} Pixels;

INLINE int whole_blocks(int count) { return (count + LANES - 1) / LANES * LANES; }

/* Labels, and with them the weights, of pixels at ... at + count - 1 of the batch. */
INLINE void read_labels(const Work *work, int64_t at, int count, Pixels *p) {
    const Task *task = work->task;
    const int64_t ignored = task->ignore_index;
    const int filled = whole_blocks(count);
    if (task->label_bytes == 1) {
        const uint8_t *from = (const uint8_t *)task->labels + at;
        const int32_t none = ignored >= 0 && ignored < 256 ? (int32_t)ignored : -1;
        for (int i = 0; i < count; i++) p->label[i] = from[i] == none ? -1 : from[i];
    } else {
        const int64_t *from = (const int64_t *)task->labels + at;
        for (int i = 0; i < count; i++) p->label[i] = from[i] == ignored ? -1 : (int32_t)from[i];
    }
    for (int i = count; i < filled; i++) p->label[i] = -1;
    for (int i = 0; i < filled; i++) {
        p->valid[i] = p->label[i] < 0 ? 0.0f : 1.0f;
        p->label[i] = p->label[i] < 0 ? 0 : p->label[i];
        p->class_weight[i] = p->factor[i] = 1.0f;
        p->peak[i] = p->mean[i] = 0.0f;
    }
    if (task->weight)
        for (int i = 0; i < filled; i++) p->class_weight[i] = task->weight[p->label[i]];
    if (task->pixel_weight) memcpy(p->factor, task->pixel_weight + at, (size_t)count * sizeof(float));
}

/* Loss as torch.nn.functional.cross_entropy counts it. */
INLINE Floats loss_of(const Work *work, Floats lse, Floats value, Floats mean, Floats class_weight) {
    const float smoothing = work->task->smoothing;
    Floats loss = (1.0f - smoothing) * class_weight * (lse - value);
    if (smoothing != 0.0f) loss += smoothing / (float)work->task->C * (work->weight_sum * lse - mean);
    return loss;
}

INLINE void finish_losses(const Work *work, int count, Pixels *p) {
    for (int i = 0; i < count; i += WIDTH) {
        /* The peak is subtracted from the scores first: both can be far larger than their difference. */
        Floats lse = log_near(load(p->sum + i)), peak = load(p->peak + i);
        Floats loss = loss_of(work, lse, load(p->value + i) - peak, load(p->mean + i) - work->weight_sum * peak,
                              load(p->class_weight + i));
        store(p->loss + i, where(load(p->valid + i) != 0.0f, loss));
    }
}

/* Adds losses to the sum of a unit, writes them where they are asked for, and weighs the gradients. */
INLINE void weigh(const Work *work, int64_t at, int count, Pixels *p, Unit *unit) {
    const Task *task = work->task;
    const float each = task->smoothing / (float)task->C, rest = 1.0f - task->smoothing;
    const float scale = task->C > 1 ? task->scale : 0.0f; /* one class has no gradient; rounding would leave some */
    Floats total = all(0.0f);
    for (int i = 0; i < count; i += WIDTH) {
        const Ints valid = load(p->valid + i) != 0.0f;
        const Floats factor = load(p->factor + i), weight = where(valid, scale * factor);
        const Floats hot = weight * rest * load(p->class_weight + i);
        total += where(valid, load(p->loss + i) * factor);
        store(p->hot + i, hot);
        store(p->soft + i, where(valid, (hot + weight * (each * work->weight_sum)) / load(p->sum + i)));
        store(p->smooth + i, -each * weight);
    }
    unit->loss += (double)sum_of(total);
    if (task->losses) memcpy(task->losses + at, p->loss, (size_t)count * sizeof(float));
}

/* The channels that classes fill of the last vector of a pixel; the others hold nothing that exp may be taken of. */
INLINE Ints class_lanes(const Work *work) {
    const int64_t filled = work->task->C - (work->padded - WIDTH);
    Ints mask;
    for (int i = 0; i < WIDTH; i++) mask[i] = i < filled ? -1 : 0;
    return mask;
}

INLINE Floats lowest_outside(Ints mask, Floats value) { return choose(mask, value, all(-INFINITY)); }
