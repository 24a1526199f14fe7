/* SGD on the quadratic a*x*x + b*x + c. The learning rate of each epoch, and the MSE over the whole data set and the
   parameters after each, as the kernels have it. */
#include <stddef.h>
#include <stdint.h>

typedef struct { double a, b, c; } params;
typedef struct { uint64_t a, b, c, counter; } generator;

#ifdef TREE /* The order of operations of the kernels: a balanced sum, and lr * derivative off the chain. */
static inline double residual(params p, double x, double y) { return (p.a * (x * x) + p.c) + (p.b * x - y); }
static inline params descend(params p, double r, double x, double lr) {
    return (params){p.a - r * (lr * (x * x)), p.b - r * (lr * x), p.c - r * lr};
}
#else /* The formula as it is written down. */
static inline double residual(params p, double x, double y) { return p.a * x * x + p.b * x + p.c - y; }
static inline params descend(params p, double r, double x, double lr) {
    return (params){p.a - lr * r * x * x, p.b - lr * r * x, p.c - lr * r};
}
#endif

static inline double mean_square(params p, const double *restrict x, const double *restrict y, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double r = residual(p, x[i], y[i]);
        sum += r * r;
    }
    return sum / n;
}

static inline params epoch(params p, const double *restrict x, const double *restrict y, ptrdiff_t n, double lr) {
    for (ptrdiff_t i = 0; i < n; i++) p = descend(p, residual(p, x[i], y[i]), x[i], lr);
    return p;
}

static inline params batch(params p, const double *restrict x, const double *restrict y, ptrdiff_t size, double lr) {
    double a = 0, b = 0, c = 0;
    for (ptrdiff_t i = 0; i < size; i++) {
        double r = residual(p, x[i], y[i]);
        a += r * x[i] * x[i];
        b += r * x[i];
        c += r;
    }
    double step = lr / size;
    return (params){p.a - step * a, p.b - step * b, p.c - step * c};
}

/* SFC64, the generator of the kernels: the same draws, and faster here than splitmix64 or xorshift. */
static inline uint64_t draw(generator *g) {
    uint64_t bits = g->a + g->b + g->counter++;
    g->a = g->b ^ (g->b >> 11);
    g->b = g->c + (g->c << 3);
    g->c = (g->c << 24 | g->c >> 40) + bits;
    return bits;
}

/* One step of Fisher and Yates' shuffle with Lemire's bounded integers; returns i again where the draw is rejected. */
static inline ptrdiff_t placed(double *restrict x, double *restrict y, ptrdiff_t i, uint64_t half) {
    uint32_t below = i + 1;
    uint64_t scaled = half * below;
    if ((uint32_t)scaled < below && (uint32_t)scaled < -below % below) return i;
    ptrdiff_t j = scaled >> 32;
    double swapped_x = x[i], swapped_y = y[i];
    x[i] = x[j], y[i] = y[j];
    x[j] = swapped_x, y[j] = swapped_y;
    return i - 1;
}

/* In place, which is faster than to shuffle indices and to follow them. */
static void shuffle_samples(double *restrict x, double *restrict y, ptrdiff_t n, uint64_t seed, uint64_t epoch) {
    generator g = {seed, epoch, 0, 1};
    for (int i = 0; i < 18; i++) draw(&g);
    for (ptrdiff_t i = n - 1; i > 0;) {
        uint64_t bits = draw(&g);
        i = placed(x, y, i, bits & UINT32_MAX);
        i = placed(x, y, i, bits >> 32);
    }
}

/* `room`, of 2 * n, is for the shuffled samples. trajectory[0] is the start. */
void train(const double *restrict x, const double *restrict y, ptrdiff_t n, const double *restrict rates,
           ptrdiff_t epochs, ptrdiff_t batch_size, int shuffle, uint64_t seed, double *restrict room,
           params *restrict trajectory, double *restrict losses) {
    const double *visited_x = shuffle ? room : x, *visited_y = shuffle ? room + n : y;
    params p = trajectory[0];
    losses[0] = mean_square(p, x, y, n);
    for (ptrdiff_t e = 0; e < epochs; e++) {
        if (shuffle) {
            for (ptrdiff_t i = 0; i < n; i++) room[i] = x[i], room[n + i] = y[i];
            shuffle_samples(room, room + n, n, seed, e);
        }
        if (batch_size == 1)
            p = epoch(p, visited_x, visited_y, n, rates[e]);
        else
            for (ptrdiff_t i = 0; i + batch_size <= n; i += batch_size)
                p = batch(p, visited_x + i, visited_y + i, batch_size, rates[e]);
        trajectory[e + 1] = p;
        losses[e + 1] = mean_square(p, x, y, n);
    }
}
