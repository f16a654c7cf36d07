/* A driver with one GPU whose memory is the host's, for tests of what the driver is asked.
   Its one kernel adds an int to each of n floats and stores them elsewhere. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int fails_next = 0;

int cuInit(unsigned flags) { return getenv("FAKE_CUDA_INIT") ? 100 : 0; }
int cuGetErrorName(int status, const char** name) {
  *name = status == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : status == 100 ? "CUDA_ERROR_NO_DEVICE"
          : status == 200 ? "CUDA_ERROR_INVALID_IMAGE"
                          : "CUDA_ERROR_ILLEGAL_ADDRESS";
  return 0;
}
int cuDriverGetVersion(int* version) { *version = 12040; return 0; }
int cuDeviceGetCount(int* count) { *count = 1; return 0; }
int cuDeviceGet(int* device, int number) { *device = number; return 0; }
int cuDeviceGetName(char* name, int size, int device) { strncpy(name, "Fake GPU", size); return 0; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  *value = attribute == 75 ? 8 : 6;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int device) { *context = &fails_next; return 0; }
int cuCtxSetCurrent(void* context) { return context == &fails_next ? 0 : 201; }
int cuCtxSynchronize(void) { return fails_next; }
int cuMemAlloc_v2(uint64_t* address, size_t size) {
  if (size > (1u << 28)) return 2;
  *address = (uint64_t)(uintptr_t)malloc(size);
  return 0;
}
int cuMemFree_v2(uint64_t address) { free((void*)(uintptr_t)address); return 0; }
int cuMemsetD8_v2(uint64_t address, unsigned char value, size_t size) {
  memset((void*)(uintptr_t)address, value, size);
  return 0;
}
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t size) {
  memcpy((void*)(uintptr_t)to, from, size);
  return fails_next;
}
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t size) {
  if (fails_next) return fails_next;
  memcpy(to, (void*)(uintptr_t)from, size);
  return 0;
}
int cuModuleLoadData(void** module, const void* image) {
  *module = (void*)image;
  return memcmp(image, "\x7f" "ELF", 4) ? 200 : 0;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = strcmp(name, "add") ? NULL : (void*)1;
  return *function ? 0 : 500;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, void* stream, void** arguments, void** extra) {
  float* from = *(float**)arguments[0];
  float* to = *(float**)arguments[1];
  int added = *(int*)arguments[2];
  float scale = *(float*)arguments[3];
  for (unsigned i = 0; i < gx * bx * gy * by * gz * bz; ++i) to[i] = from[i] * scale + added;
  if (added == 666) fails_next = 700;
  return 0;
}
