#ifndef UNBRAID_COPENBLAS_H
#define UNBRAID_COPENBLAS_H

// LAPACKE's complex types come from <complex.h>, which Swift cannot import; no complex routine is used here.
#ifndef lapack_complex_float
#define lapack_complex_float float
#define lapack_complex_double double
#endif
#include <cblas.h>
#include <lapacke.h>

#endif
