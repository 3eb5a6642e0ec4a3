// Preloaded into a program, logs what it makes durable: a line "fsync PATH" or "rename OLD NEW" for each call that
// succeeds, in order, in the file that CALL_LOG names.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *call, const char *first, const char *second) {
  const char *path = getenv("CALL_LOG");
  if (!path) return;
  char line[3 * PATH_MAX];
  int length = snprintf(line, sizeof line, "%s\t%s%s%s\n", call, first, second ? "\t" : "", second ? second : "");
  // One write at the end of the file: lines of several threads and ranks do not mix.
  int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log < 0) return;
  if (write(log, line, (size_t)length) != length) abort();
  close(log);
}

int fsync(int descriptor) {
  static int (*original)(int);
  if (!original) original = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  int result = original(descriptor);
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (result == 0 && length > 0) {
    path[length] = 0;
    note("fsync", path, NULL);
  }
  return result;
}

int rename(const char *old, const char *new) {
  static int (*original)(const char *, const char *);
  if (!original) original = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
  int result = original(old, new);
  if (result == 0) note("rename", old, new);
  return result;
}
