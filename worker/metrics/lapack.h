/* The four LAPACK routines that the Frechet distance calls, by their Fortran names, as OpenBLAS itself exports them: no
 * LAPACKE, which would be four more libraries. Matrices are column by column with leading dimension `ld`; everything is
 * passed by address; each text's length follows at the end, as gfortran passes it. *info is 0 where all went well.
 * Reference: netlib.org/lapack, same names without the underscore. */
#ifndef WORKER_METRICS_LAPACK_H
#define WORKER_METRICS_LAPACK_H

#include <stddef.h>

/* Cholesky factor of a [n,n], in place. info > 0: not positive definite. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *ld, int *info, size_t uplo_len);

/* Cholesky factor with pivots of a semidefinite a [n,n], in place: piv [n] from 1, *rank, work [2n]. */
void dpstrf_(const char *uplo, const int *n, double *a, const int *ld, int *piv, int *rank, const double *tol,
             double *work, int *info, size_t uplo_len);

/* itype 2, uplo L: a becomes L^T a L with the Cholesky factor b = L. */
void dsygst_(const int *itype, const char *uplo, const int *n, double *a, const int *lda, const double *b,
             const int *ldb, int *info, size_t uplo_len);

/* Eigenvalues w [n], ascending; with jobz V eigenvectors over a. lwork = liwork = -1 asks for the sizes of work and
 * iwork, which come in work[0] and iwork[0]. info > 0: did not converge. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *ld, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_len, size_t uplo_len);

#endif
