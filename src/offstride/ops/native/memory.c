/* Memory. The large pieces of a task are kept for the next one: the first touch of fresh pages costs as much as the work on
 * them. Tasks that run at the same time, and very large ones, take memory of their own. */

#include <stdatomic.h>
#include <stdlib.h>
#include "task.h"

static struct {
    float *memory;
    int64_t count;
} kept[KEPT];
static atomic_flag taken = ATOMIC_FLAG_INIT;
static const int64_t KEEP_AT_MOST = 1 << 25; /* floats of a piece */

void *offstride_allocate(int64_t count, int64_t size) {
    const size_t bytes = ((size_t)(count > 0 ? count : 1) * (size_t)size + 63) / 64 * 64;
    return aligned_alloc(64, bytes);
}

int offstride_take_memory(void) { return !atomic_flag_test_and_set(&taken); }

void offstride_release_memory(void) { atomic_flag_clear(&taken); }

float *offstride_borrow(int owner, int which, int64_t count) {
    if (!owner || count > KEEP_AT_MOST) return offstride_allocate(count, sizeof(float));
    if (kept[which].count < count) {
        free(kept[which].memory);
        kept[which].memory = offstride_allocate(count, sizeof(float));
        kept[which].count = kept[which].memory ? count : 0;
    }
    return kept[which].memory;
}

void offstride_give_back(const float *memory, int which) {
    if (memory != kept[which].memory) free((void *)memory);
}

/* Returns what is kept to the system. */
void offstride_forget_memory(void) {
    if (!offstride_take_memory()) return;
    for (int which = 0; which < KEPT; which++) {
        free(kept[which].memory);
        kept[which].memory = NULL;
        kept[which].count = 0;
    }
    offstride_release_memory();
}

/* Fills what is kept with a value, so that a test finds reads of memory that was never written. */
void offstride_fill_memory(float value) {
    for (int which = 0; which < KEPT; which++)
        for (int64_t i = 0; i < kept[which].count; i++) kept[which].memory[i] = value;
}
