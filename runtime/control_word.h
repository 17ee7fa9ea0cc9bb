/* The floating-point control word of the thread: the one place that knows processors. Compiled code wants the default:
 * round to nearest even, subnormals kept, no traps.
 *
 *     nd__control before = nd__control_read();
 *     if (!nd__control_fits(before)) nd__control_write(nd__control_default(before));
 *
 * Inline, because every call looks at it. */
#ifndef NADIR_RUNTIME_CONTROL_WORD_H
#define NADIR_RUNTIME_CONTROL_WORD_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t nd__control;

#if defined(__x86_64__) || defined(_M_X64)
#include <emmintrin.h>

/* MXCSR: 0-5 exceptions seen, 6 subnormal operands are zero, 7-12 exceptions masked, 13-14 rounding, 15 subnormal
 * results are zero. */
enum { ND__CONTROL_MASK = 0xFFC0, ND__CONTROL_DEFAULT = 0x1F80 };

static inline nd__control nd__control_read(void)
{
    return _mm_getcsr();
}

static inline void nd__control_write(nd__control word)
{
    _mm_setcsr((unsigned)word);
}

#elif defined(__aarch64__)

/* FPCR: 8-12 and 15 traps, 19 and 24 flush subnormals, 22-23 rounding, 25 default NaNs (payloads are nobody's
 * business). */
enum { ND__CONTROL_MASK = 0x01C89F00, ND__CONTROL_DEFAULT = 0 };

static inline nd__control nd__control_read(void)
{
    uint64_t word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
}

static inline void nd__control_write(nd__control word)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(word) : "memory");
}

#elif defined(__riscv_flen)

/* frm: the rounding alone; subnormals are always kept. */
enum { ND__CONTROL_MASK = 7, ND__CONTROL_DEFAULT = 0 };

static inline nd__control nd__control_read(void)
{
    unsigned long word;
    __asm__ volatile("frrm %0" : "=r"(word));
    return word;
}

static inline void nd__control_write(nd__control word)
{
    __asm__ volatile("fsrm %0" : : "r"((unsigned long)word) : "memory");
}

#else
#include <fenv.h>

/* Elsewhere C knows the rounding, and nothing knows more. */
enum { ND__CONTROL_MASK = -1, ND__CONTROL_DEFAULT = FE_TONEAREST };

static inline nd__control nd__control_read(void)
{
    return (nd__control)fegetround();
}

static inline void nd__control_write(nd__control word)
{
    fesetround((int)word);
}

#endif

static inline bool nd__control_fits(nd__control word)
{
    return (word & (nd__control)ND__CONTROL_MASK) == (nd__control)ND__CONTROL_DEFAULT;
}

/* Whether this thread rounds to nearest, keeps subnormals, and does not trap as far as <fenv.h> knows. */
static inline bool nd__control_suits(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    /* Found out by computing, since reading MXCSR waits for all arithmetic before it: 16 cycles of an empty call's 20
     * (Zen 4). 1 + 3/4 ulp of both signs tells the four ways to round from each other; the third sum is subnormal, the
     * last one's operands are. <fenv.h> keeps the word of the x87 like MXCSR, and that one is read at once. */
    static const _Alignas(16) float a[4] = {1, -1, 0x1.8p-126F, 0x1p-127F};
    static const _Alignas(16) float b[4] = {0x1.8p-24F, -0x1.8p-24F, -0x1p-126F, 0x1p-127F};
    static const _Alignas(16) float nearest[4] = {0x1.000002p0F, -0x1.000002p0F, 0x1p-127F, 0x1p-126F};
    enum { NO_TRAPS = 0x3F };
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    if ((x87 & NO_TRAPS) != NO_TRAPS)
        return false; /* the sums would be the first to trap */
    __m128 sum = _mm_load_ps(a);
    __asm__ volatile("addps %1, %0" : "+x"(sum) : "m"(*(const __m128 *)b));
    const __m128i same = _mm_cmpeq_epi32(_mm_castps_si128(sum), *(const __m128i *)nearest);
    return _mm_movemask_epi8(same) == 0xFFFF;
#else
    return nd__control_fits(nd__control_read());
#endif
}

/* `word` with the bits that matter at their default. */
static inline nd__control nd__control_default(nd__control word)
{
    return (word & ~(nd__control)ND__CONTROL_MASK) | (nd__control)ND__CONTROL_DEFAULT;
}

#endif
