#ifndef UNBRAID_CMPI_H
#define UNBRAID_CMPI_H

// Without this, mpi.h drags in the C++ bindings when a C++ consumer appears and hides the deprecations.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#include <stdint.h>

// mpi.h spells its handles and constants as macros with casts, which Swift cannot import. Every constant
// that Swift code uses is wrapped, integers included, so that one convention holds.

static inline MPI_Comm cmpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm cmpi_comm_self(void) { return MPI_COMM_SELF; }
static inline MPI_Errhandler cmpi_errors_return(void) { return MPI_ERRORS_RETURN; }

static inline MPI_Datatype cmpi_byte(void) { return MPI_BYTE; }
static inline MPI_Datatype cmpi_int32(void) { return MPI_INT32_T; }
static inline MPI_Datatype cmpi_int64(void) { return MPI_INT64_T; }
static inline MPI_Datatype cmpi_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype cmpi_double(void) { return MPI_DOUBLE; }

static inline MPI_Op cmpi_sum(void) { return MPI_SUM; }
static inline MPI_Op cmpi_max(void) { return MPI_MAX; }
static inline MPI_Op cmpi_min(void) { return MPI_MIN; }

static inline int cmpi_comm_type_shared(void) { return MPI_COMM_TYPE_SHARED; }
static inline MPI_Info cmpi_info_null(void) { return MPI_INFO_NULL; }

static inline int cmpi_any_source(void) { return MPI_ANY_SOURCE; }
static inline int cmpi_any_tag(void) { return MPI_ANY_TAG; }
static inline int cmpi_thread_funneled(void) { return MPI_THREAD_FUNNELED; }
static inline int cmpi_success(void) { return MPI_SUCCESS; }
static inline int cmpi_max_error_string(void) { return MPI_MAX_ERROR_STRING; }
static inline int cmpi_max_processor_name(void) { return MPI_MAX_PROCESSOR_NAME; }

// Where a collective takes its input from its result's place.
static inline const void *cmpi_in_place(void) { return MPI_IN_PLACE; }

static inline MPI_Request cmpi_request_null(void) { return MPI_REQUEST_NULL; }

// MPI_STATUS_IGNORE is a cast of an integer to a pointer; MPI_Status has fields Swift reads directly.
static inline MPI_Status *cmpi_status_ignore(void) { return MPI_STATUS_IGNORE; }

// Words in memory that processes share. Nothing else is handed over through them, so no order is asked for.
static inline uint64_t cmpi_atomic_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline int cmpi_atomic_replace(uint64_t *word, uint64_t expected, uint64_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

#endif
