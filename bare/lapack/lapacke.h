/* The part of LAPACK that ddq uses: symmetric matrices of doubles, by columns, lower triangle. See bare/README.md. */
#ifndef BARE_LAPACKE_H
#define BARE_LAPACKE_H

#define LAPACK_COL_MAJOR         102
#define LAPACK_WORK_MEMORY_ERROR (-1010)

typedef int lapack_int;

/* Cholesky: A = L L^T, L over the lower triangle. 0, or the order of the first minor that is not positive. */
lapack_int LAPACKE_dpotrf_work(int order, char uplo, lapack_int n, double *a, lapack_int lda);
/* Cholesky with pivots: P^T A P = L L^T, column j of L from row pivots[j] - 1 of A. It stops, with 1, at the rank that
 * is left when no pivot is above n times the precision times the largest diagonal entry (tolerance < 0). */
lapack_int LAPACKE_dpstrf_work(int order, char uplo, lapack_int n, double *a, lapack_int lda, lapack_int *pivots,
                               lapack_int *ret_rank, double tolerance, double *work);
/* type 2: A = L^T A L with the factor of dpotrf, the lower triangle. */
lapack_int LAPACKE_dsygst_work(int order, lapack_int type, char uplo, lapack_int n, double *a, lapack_int lda,
                               const double *b, lapack_int ldb);
/* Eigenvalues, ascending, to w; with jobz 'V' the eigenvectors over A, one a column. 0, or > 0: did not converge. */
lapack_int LAPACKE_dsyevd(int order, char jobz, char uplo, lapack_int n, double *a, lapack_int lda, double *w);

#endif
