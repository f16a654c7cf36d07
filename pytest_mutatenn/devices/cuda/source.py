"""TVM's CUDA, made to compile with nothing but a compiler, and kernels that start from poison."""

from __future__ import annotations

import re

from pytest_mutatenn.devices.plan import with_plain_names

__all__ = ["device_source", "with_poison"]

# what TVM's own head takes from CUDA's headers, which NVRTC comes without
_HEAD = """\
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned int uint;
typedef unsigned char uchar;
typedef unsigned short ushort;
#define CUDART_INF_F __int_as_float(0x7f800000)
#define CUDART_NAN_F __int_as_float(0x7fffffff)
#define CUDART_INF __longlong_as_double(0x7ff0000000000000ll)
#define CUDART_NAN __longlong_as_double(0xfff8000000000000ull)
"""
_HALF = """\
struct half {
  unsigned short bits;
  half() = default;
  __device__ half(float value) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value)); }
  __device__ operator float() const {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
  }
};
"""
_FIRST = 'extern "C" __global__'
_ARRAY = re.compile(
    r"^(?P<indent>[ ]*)(?P<shared>__shared__\s+)?(?P<align>__align__\(\d+\)\s+)?"
    r"(?P<type>(?:unsigned )?(?:char|short|int|long long)|u?int\d+_t|half|float\d?|double)"
    r"\s+(?P<name>\w+)\[(?P<size>\d+)\];$",
    re.MULTILINE,
)
_SHARED_FIRST = "(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z))"
_SHARED_STEP = "(blockDim.x * blockDim.y * blockDim.z)"


def device_source(printed: str) -> str:
    """The device's functions as TVM prints them, with plain names and without CUDA's headers."""
    body = printed[printed.index(_FIRST) :]
    head = _HEAD + (_HALF if re.search(r"\bhalf\b", body) else "")
    return head + with_plain_names(body)


def with_poison(source: str) -> str:
    """Fill each array that a kernel declares with NaN, or -1, as soon as it is declared.

    What an earlier kernel left in shared memory, or in a thread's own, is never read then.
    """
    return _ARRAY.sub(_filled, source)


def _filled(match: re.Match[str]) -> str:
    name, size = match["name"], f"(int)sizeof({match['name']})"
    store = f"((unsigned char*){name})[poison] = 0xFF;"
    if not match["shared"]:
        loop = f"for (int poison = 0; poison < {size}; ++poison) {store}"
        return f"{match[0]}\n{match['indent']}{loop}"
    # the threads share it, and none may go on before all of it is filled
    loop = (
        f"for (int poison = {_SHARED_FIRST}; poison < {size}; poison += {_SHARED_STEP}) {store} "
        "__syncthreads();"
    )
    return f"{match[0]}\n{match['indent']}{loop}"
