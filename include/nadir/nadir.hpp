/* Operators for C++17: expressions over the values of graph.h as one would write them.
 *
 *     nd::value a = nd_input(m, "a", ND_F32, ND_SCALAR), b = nd_input(m, "b", ND_F32, ND_SCALAR);
 *     nd::value e = (a + b) * (b - 1);
 *     nd::value y = nd::tanh(nd::matmul(x, w) + bias);
 *     nd_print(e.get(), stdout);
 *
 * A value is the module's pointer and nothing else: it copies like one, owns nothing, and lives as long as its module.
 * It comes from what graph.h's calls return, and get() gives it back to them. Numbers are weak constants (nd_const).
 * Operators make the nodes, and the errors, of the calls whose names stand beside them; errors have the line of the
 * expression's left operand. Assignment gives the name another value; it does not change the graph, nor a variable
 * (nd_assign does). Nothing here throws, apart from std::bad_alloc. */
#ifndef NADIR_HPP
#define NADIR_HPP

#include "nadir/graph.h"

#include <string>
#include <type_traits>

namespace nd
{

class value
{
  public:
    value(nd_value *handle = nullptr) noexcept : handle_(handle)
    {
    }
    nd_value *get() const noexcept
    {
        return handle_;
    }

  private:
    nd_value *handle_;
};

/* What operators take: a value or a number, and the line on which it was written. Made by the compiler only: that is
 * how an operator, which has no further arguments, learns of its caller's place. */
class operand
{
  public:
    operand(value v, const char *file = __builtin_FILE(), int line = __builtin_LINE()) noexcept
        : handle_(v.get()), file_(file), line_(line)
    {
    }
    operand(nd_value *v, const char *file = __builtin_FILE(), int line = __builtin_LINE()) noexcept
        : handle_(v), file_(file), line_(line)
    {
    }
    template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
    operand(Number number, const char *file = __builtin_FILE(), int line = __builtin_LINE()) noexcept
        : is_number_(true), number_(static_cast<double>(number)), file_(file), line_(line)
    {
    }

    std::string place() const
    {
        return std::string(file_) + ":" + std::to_string(line_);
    }
    /* The value; a number's is made in the other operand's module. */
    nd_value *beside(const operand &other) const
    {
        if (!is_number_)
            return handle_;
        nd_module *module = nd_value_module(other.handle_);
        return module ? nd_const_at(place().c_str(), module, number_) : nullptr;
    }

  private:
    nd_value *handle_ = nullptr;
    bool is_number_ = false;
    double number_ = 0;
    const char *file_;
    int line_;
};

#define ND__BINARY(name, call)                                                                                         \
    inline value name(operand a, operand b)                                                                            \
    {                                                                                                                  \
        return call(a.place().c_str(), a.beside(b), b.beside(a));                                                      \
    }
#define ND__UNARY(name, call)                                                                                          \
    inline value name(operand x)                                                                                       \
    {                                                                                                                  \
        return call(x.place().c_str(), x.beside(x));                                                                   \
    }

ND__BINARY(operator+, nd_add_at)
ND__BINARY(operator-, nd_sub_at)
ND__BINARY(operator*, nd_mul_at)
ND__BINARY(operator/, nd_div_at) /* floats; integers have floordiv */
ND__BINARY(operator%, nd_mod_at)
ND__BINARY(operator&, nd_and_at)
ND__BINARY(operator|, nd_or_at)
ND__BINARY(operator^, nd_xor_at) /* not a power */
ND__UNARY(operator-, nd_neg_at)
ND__UNARY(operator~, nd_not_at)

/* Values of type bool, not C++'s: for select and nd_cond. */
ND__BINARY(operator==, nd_eq_at)
ND__BINARY(operator!=, nd_ne_at)
ND__BINARY(operator<, nd_lt_at)
ND__BINARY(operator<=, nd_le_at)
ND__BINARY(operator>, nd_gt_at)
ND__BINARY(operator>=, nd_ge_at)

ND__BINARY(matmul, nd_matmul_at)
ND__BINARY(floordiv, nd_floordiv_at)
ND__BINARY(pow, nd_pow_at)
ND__BINARY(min, nd_min_at)
ND__BINARY(max, nd_max_at)
ND__BINARY(gradient, nd_gradient_at) /* of a by b */

ND__UNARY(abs, nd_abs_at)
ND__UNARY(sqrt, nd_sqrt_at)
ND__UNARY(exp, nd_exp_at)
ND__UNARY(log, nd_log_at)
ND__UNARY(tanh, nd_tanh_at)
ND__UNARY(sigmoid, nd_sigmoid_at)
ND__UNARY(sin, nd_sin_at)
ND__UNARY(cos, nd_cos_at)

#undef ND__BINARY
#undef ND__UNARY

/* Over all axes. */
inline value sum(operand x)
{
    return nd_sum_at(x.place().c_str(), x.beside(x), ND_ALL_AXES, false);
}
inline value mean(operand x)
{
    return nd_mean_at(x.place().c_str(), x.beside(x), ND_ALL_AXES, false);
}
inline value select(operand condition, operand a, operand b)
{
    return nd_select_at(condition.place().c_str(), condition.beside(a), a.beside(condition), b.beside(condition));
}

} // namespace nd

#endif
