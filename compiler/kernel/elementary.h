/* The elementary functions of f32 and f64 on numbers: the definition that the interpreter uses. Kernels have the same
 * bits (nd__k_func), since both come from one text: elementary_f32.inc and elementary_f64.inc.
 *
 * Only IEEE arithmetic and fma, under the default control word: no libm decides a bit. The full range of arguments and
 * results, subnormals included; a NaN gives a NaN (but pow(NaN, 0) = pow(1, NaN) = 1), and infinities and signed zeros
 * are as in C99, Annex F. */
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
