#ifndef UNBRAID_CXXHASH_H
#define UNBRAID_CXXHASH_H

#include <xxhash.h>

#endif
