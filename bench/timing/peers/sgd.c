/* SGD on the model whose text comes before this: `params` with `from` and `into`, `sample` with `at`, the `residual`,
   and the steps `descend`, `added` and `moved`. All runs see the samples in the same order; losses are the MSE over the whole data set. */

typedef struct { uint64_t a, b, c, counter; } generator;

static inline double mean_square(params p, const double *const *columns, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double r = residual(p, at(columns, i));
        sum += r * r;
    }
    return sum / n;
}

static inline params epoch(params p, const double *const *columns, ptrdiff_t n, double lr) {
    for (ptrdiff_t i = 0; i < n; i++) p = descend(p, at(columns, i), lr);
    return p;
}

static inline params batches(params p, const double *const *columns, ptrdiff_t n, ptrdiff_t size, double lr) {
    for (ptrdiff_t start = 0; start + size <= n; start += size) {
        params sum = {0};
        for (ptrdiff_t i = start; i < start + size; i++) sum = added(sum, p, at(columns, i));
        p = moved(p, sum, lr / size);
    }
    return p;
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
static inline ptrdiff_t placed(double *const *columns, ptrdiff_t i, uint64_t half) {
    uint32_t below = i + 1;
    uint64_t scaled = half * below;
    if ((uint32_t)scaled < below && (uint32_t)scaled < -below % below) return i;
    ptrdiff_t j = scaled >> 32;
    for (int k = 0; k < COLUMNS; k++) {
        double swapped = columns[k][i];
        columns[k][i] = columns[k][j];
        columns[k][j] = swapped;
    }
    return i - 1;
}

/* In place, which is faster than to shuffle indices and to follow them. */
static void shuffle_samples(double *const *columns, ptrdiff_t n, uint64_t seed, uint64_t epoch) {
    generator g = {seed, epoch, 0, 1};
    for (int i = 0; i < 18; i++) draw(&g);
    for (ptrdiff_t i = n - 1; i > 0;) {
        uint64_t bits = draw(&g);
        i = placed(columns, i, bits & UINT32_MAX);
        i = placed(columns, i, bits >> 32);
    }
}

/* The columns are the inputs and y; `room`, as large, is for the shuffled samples, or NULL to leave them as they stand.
   Rates are (epochs, runs), losses (epochs + 1, runs), theta is (PARAMS, runs): where they start,
   and end. */
void train(const double *const *columns, ptrdiff_t n, const double *rates, ptrdiff_t epochs, ptrdiff_t runs,
           ptrdiff_t batch_size, uint64_t seed, double *const *room, double *theta, double *losses) {
    const double *const *visited = room ? (const double *const *)room : columns;
    for (ptrdiff_t run = 0; run < runs; run++) losses[run] = mean_square(from(theta + run, runs), columns, n);
    for (ptrdiff_t e = 0; e < epochs; e++) {
        if (room) {
            for (int k = 0; k < COLUMNS; k++) memcpy(room[k], columns[k], n * sizeof **room);
            shuffle_samples(room, n, seed, e);
        }
        for (ptrdiff_t run = 0; run < runs; run++) {
            double lr = *rates++;
            params p = from(theta + run, runs);
            p = batch_size == 1 ? epoch(p, visited, n, lr) : batches(p, visited, n, batch_size, lr);
            losses[(e + 1) * runs + run] = mean_square(p, columns, n);
            into(theta + run, runs, p);
        }
    }
}
