/* Vectors in the extensions of GCC and Clang, as wide as the registers of the instruction set. Included once for each,
 * after it has been chosen. */

#include <stdint.h>

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX2__)
#define WIDTH 8
#else
#define WIDTH 4
#endif
enum { TOGETHER = 4 }; /* vectors that are worked on side by side: three times as many fit the registers */

typedef float Floats __attribute__((vector_size(WIDTH * 4)));
typedef int32_t Ints __attribute__((vector_size(WIDTH * 4)));
typedef float Anywhere __attribute__((vector_size(WIDTH * 4), aligned(4)));
typedef int32_t AnywhereWhole __attribute__((vector_size(WIDTH * 4), aligned(4)));

#if defined(__clang__)
#define PLAIN_LOOPS __attribute__((noinline))
#else
#define PLAIN_LOOPS __attribute__((noinline, optimize("no-tree-vectorize")))
#endif
#define INLINE static inline __attribute__((always_inline, unused))

INLINE Floats load(const float *from) { return *(const Floats *)from; }
INLINE Floats load_any(const float *from) { return *(const Anywhere *)from; }
INLINE Ints load_whole(const int32_t *from) { return *(const AnywhereWhole *)from; }
INLINE void store(float *to, Floats value) { *(Floats *)to = value; }
INLINE void store_any(float *to, Floats value) { *(Anywhere *)to = value; }
INLINE Floats all(float value) { return value - (Floats){0}; }
INLINE Floats floats(Ints from) { return __builtin_convertvector(from, Floats); }
INLINE Ints ints(Floats from) { return __builtin_convertvector(from, Ints); }

/* Added instead of or-ed, which is the same here: GCC then sees the one instruction that does it. */
INLINE Floats choose(Ints mask, Floats yes, Floats no) {
    return (Floats)((mask & (Ints)yes) + (~mask & (Ints)no));
}
INLINE Floats where(Ints mask, Floats yes) { return (Floats)(mask & (Ints)yes); }
INLINE Floats larger(Floats a, Floats b) { return choose(a > b, a, b); }
INLINE Ints lesser(Ints a, Ints b) { return ((a < b) & a) + (~(a < b) & b); }

/* exp(x) for -87 <= x <= 88, to 1 unit in the last place: x = n log 2 + f, |f| <= log(2) / 2, and exp(f) by a polynomial
 * whose relative error is 3e-9 there. Adding 1.5 * 2^23 rounds to the nearest n and leaves it in the lowest bits. */
INLINE Floats exp_near(Floats x) {
    const float magic = 12582912.0f;
    Floats shifted = x * 1.44269504088896341f + magic;
    Floats n = shifted - magic;
    Floats f = x - n * 0.693145751953125f;
    f = f - n * 1.42860677e-6f;
    Floats p = f * 1.381459879e-3f + 8.368716575e-3f;
    p = p * f + 4.166838899e-2f;
    p = p * f + 1.666652113e-1f;
    p = p * f + 4.999999404e-1f;
    p = p * (f * f) + f;
    p = p + 1.0f;
    return (Floats)((Ints)p + ((Ints)shifted << 23));
}

/* exp(x) for any x <= 0; what lies below exp(-87) counts as that. A NaN stays one. */
INLINE Floats exp_far(Floats x) { return exp_near(choose(x < -87.0f, all(-87.0f), x)); }

/* log(x) of a normal x > 0, to 1 unit in the last place: x = 2^n m with m between the square roots of 1/2 and 2, and
 * log(m) by the series of the inverse hyperbolic tangent. A NaN stays one. */
INLINE Floats log_near(Floats x) {
    Ints exponent = ((Ints)x - 0x3f3504f3) >> 23;
    Floats n = floats(exponent), m = (Floats)((Ints)x - (exponent << 23));
    Floats s = (m - 1.0f) / (m + 1.0f), z = s * s;
    Floats p = (1.493621469e-1f * z + 1.998875886e-1f) * z + 3.333338797e-1f;
    return n * 0.693145751953125f + (n * 1.42860677e-6f + 2.0f * (s + s * z * p)) + (x - x);
}

#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Ints){__VA_ARGS__})
#endif

/* Every second float, first those of a, then those of b. */
#if WIDTH == 16
INLINE Floats evens(Floats a, Floats b) { return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30); }
INLINE Floats odds(Floats a, Floats b) { return SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31); }
#elif WIDTH == 8
INLINE Floats evens(Floats a, Floats b) { return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }
INLINE Floats odds(Floats a, Floats b) { return SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15); }
#else
INLINE Floats evens(Floats a, Floats b) { return SHUFFLE(a, b, 0, 2, 4, 6); }
INLINE Floats odds(Floats a, Floats b) { return SHUFFLE(a, b, 1, 3, 5, 7); }
#endif

/* Sums of neighbouring pairs, first those of a, then those of b. */
INLINE Floats pairs(Floats a, Floats b) { return evens(a, b) + odds(a, b); }

/* The sum of each of some vectors, in their order; `count` is a multiple of WIDTH. */
INLINE void sums(const Floats *of, int count, float *to) {
    for (int begin = 0; begin < count; begin += WIDTH) {
        Floats level[WIDTH];
        for (int i = 0; i < WIDTH; i++) level[i] = of[begin + i];
        for (int many = WIDTH / 2; many; many /= 2)
            for (int i = 0; i < many; i++) level[i] = pairs(level[2 * i], level[2 * i + 1]);
        store(to + begin, level[0]);
    }
}

/* Rows become columns. Each step rotates the bits of "row, column" by one. */
INLINE void transpose(Floats *rows) {
    for (int step = 1; step < WIDTH; step *= 2) {
        Floats next[WIDTH];
        for (int i = 0; i < WIDTH / 2; i++) {
            next[i] = evens(rows[2 * i], rows[2 * i + 1]);
            next[i + WIDTH / 2] = odds(rows[2 * i], rows[2 * i + 1]);
        }
        for (int i = 0; i < WIDTH; i++) rows[i] = next[i];
    }
}

/* Some floats from or to anywhere; those from beyond are 0. */
INLINE Floats load_some(const float *from, int64_t count) {
    if (count >= WIDTH) return load_any(from);
    Floats found = all(0.0f);
    if (count > 0) memcpy(&found, from, (size_t)count * sizeof(float));
    return found;
}
INLINE void store_some(float *to, Floats value, int64_t count) {
    if (count >= WIDTH)
        store_any(to, value);
    else if (count > 0)
        memcpy(to, &value, (size_t)count * sizeof(float));
}

INLINE float sum_of(Floats of) {
    float found = of[0];
    for (int i = 1; i < WIDTH; i++) found += of[i];
    return found;
}

INLINE float largest(Floats of) {
    float found = of[0];
    for (int i = 1; i < WIDTH; i++) found = of[i] > found ? of[i] : found;
    return found;
}
