/* w @ x + b by stochastic gradient descent, one sample at a time: as one writes it by hand for speed, with eight sums. */

#include <stddef.h>
#include <sys/types.h>

static double predict(const double *restrict w, const double *restrict x, ssize_t d)
{
    double sums[8] = {0};
    ssize_t i = 0;
    for (; i + 8 <= d; i += 8)
        for (int j = 0; j < 8; j++)
            sums[j] += w[i + j] * x[i + j];
    double total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    for (; i < d; i++)
        total += w[i] * x[i];
    return total + w[d];
}

static double mean_square(const double *w, const double *x, const double *y, ssize_t n, ssize_t d)
{
    double total = 0;
    for (ssize_t i = 0; i < n; i++) {
        double residual = predict(w, x + i * d, d) - y[i];
        total += residual * residual;
    }
    return total / n;
}

/* params: a row of d + 1 for each run, the constant last; rates and losses: a column for each run. */
void train(const double *x, const double *y, ssize_t n, ssize_t d, const double *rates, ssize_t epochs, ssize_t runs,
           double *params, double *losses)
{
    for (ssize_t run = 0; run < runs; run++) {
        double *restrict w = params + run * (d + 1);
        losses[run] = mean_square(w, x, y, n, d);
        for (ssize_t epoch = 0; epoch < epochs; epoch++) {
            double lr = rates[epoch * runs + run];
            for (ssize_t i = 0; i < n; i++) {
                const double *restrict row = x + i * d;
                double step = lr * (predict(w, row, d) - y[i]);
                for (ssize_t k = 0; k < d; k++)
                    w[k] -= step * row[k];
                w[d] -= step;
            }
            losses[(epoch + 1) * runs + run] = mean_square(w, x, y, n, d);
        }
    }
}
