/* The elementary functions of f32 and f64 on numbers: the definition that the interpreter uses. Kernels have the same
 * bits (nd__k_func), since both come from one text: elementary_f32.inc and elementary_f64.inc.
 *
 * Only IEEE arithmetic and fma, under the default control word: no libm decides a bit. The full range of arguments and
 * results, subnormals included; a NaN gives a NaN (but pow(NaN, 0) = pow(1, NaN) = 1); infinities and signed zeros are
 * as in C99, Annex F.
 *
 * The largest errors, in units in the last place of the result, rounded up:
 *
 *             f32   f64
 *     exp     1.05  1.0
 *     log     0.92  0.85
 *     log1p   1.1   0.85
 *     tanh    1.85  2.05
 *     sigmoid 2.35  2.35
 *     sin     0.57  0.8
 *     cos     0.57  0.8
 *     erf     1.1   1.3
 *     pow     0.54  1.35
 *
 * f32 was compared with double, every 97th float (pow: 10^7 pairs); f64 with long double, 10^7 arguments, half of them
 * any bits, and with mpmath in hard cases. tests/test_elementary.c asserts these figures on a part of that. */
#ifndef NADIR_KERNEL_ELEMENTARY_H
#define NADIR_KERNEL_ELEMENTARY_H

float nd__exp_f32(float x);
float nd__log_f32(float x);
float nd__log1p_f32(float x);
float nd__tanh_f32(float x);
float nd__sigmoid_f32(float x); /* 1 / (1 + e^-x) */
float nd__sin_f32(float x);
float nd__cos_f32(float x);
float nd__erf_f32(float x);
float nd__pow_f32(float x, float y);

double nd__exp_f64(double x);
double nd__log_f64(double x);
double nd__log1p_f64(double x);
double nd__tanh_f64(double x);
double nd__sigmoid_f64(double x);
double nd__sin_f64(double x);
double nd__cos_f64(double x);
double nd__erf_f64(double x);
double nd__pow_f64(double x, double y);

/* Row k: 2^32k 2/pi modulo 4 (k = 0: 2/pi) as a sum of four doubles, for arguments up to 2^1024. */
enum { ND__TWO_OVER_PI_ROWS = 31 };
extern const double nd__two_over_pi[4 * ND__TWO_OVER_PI_ROWS];

#endif
