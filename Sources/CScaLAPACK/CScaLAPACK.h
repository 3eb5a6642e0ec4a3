#ifndef UNBRAID_CSCALAPACK_H
#define UNBRAID_CSCALAPACK_H

#include <stddef.h>

// ScaLAPACK ships no C header. These are the Fortran routines used here: integers have 32 bits, every argument
// is a pointer, and the length of each character argument follows the last argument by value.

// The BLACS are written in C behind Fortran names and take no lengths. A system handle is the Fortran handle
// of an MPI communicator; the Fortran names keep no table of handles that the C names would have to free.
int sys2blacs_handle_(const int *communicator);
void blacs_gridinit_(int *context, const char *order, const int *rows, const int *columns);
void blacs_gridinfo_(const int *context, int *rows, int *columns, int *row, int *column);
void blacs_gridexit_(const int *context);

int numroc_(const int *count, const int *block, const int *coordinate, const int *source,
            const int *coordinate_count);

void descinit_(int *descriptor, const int *rows, const int *columns, const int *row_block,
               const int *column_block, const int *source_row, const int *source_column, const int *context,
               const int *leading_dimension, int *info);

void pdsyevd_(const char *job, const char *triangle, const int *order, double *a, const int *ia, const int *ja,
              const int *a_descriptor, double *values, double *z, const int *iz, const int *jz,
              const int *z_descriptor, double *work, const int *work_count, int *integer_work,
              const int *integer_work_count, int *info, size_t job_length, size_t triangle_length);

void psgesvd_(const char *left_job, const char *right_job, const int *rows, const int *columns, float *a,
              const int *ia, const int *ja, const int *a_descriptor, float *values, float *u, const int *iu,
              const int *ju, const int *u_descriptor, float *vt, const int *ivt, const int *jvt,
              const int *vt_descriptor, float *work, const int *work_count, int *info, size_t left_length,
              size_t right_length);

#endif
