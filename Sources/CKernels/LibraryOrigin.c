#define _GNU_SOURCE // dladdr
#include "CKernels.h"

#include <dlfcn.h>

const char *ckernels_library_of(const char *symbol) {
  void *address = dlsym(RTLD_DEFAULT, symbol);
  Dl_info place;
  return address && dladdr(address, &place) ? place.dli_fname : 0;
}
