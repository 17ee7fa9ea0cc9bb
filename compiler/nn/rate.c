/* Rates over steps; include/nadir/optimizer.h has the formulas. */
#include "compiler/nn/optimizer.h"

/* The steps as f64, 0 or more; poison after an error, NULL for NULL. */
static nd_value *begin(nd_place place, const char *what, nd_value *steps, int64_t length, const char *length_name)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 1, &steps, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    if (!nd_dtype_is_integer(steps->dtype))
        return nd__fail(m, ND_ERR_GRAPH, place, "%s: the steps %s are %s, expected an integer", what,
                        nd__show(m, steps), nd__show_type(m, steps->dtype, &steps->shape));
    if (length < 1)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "%s: %s is %lld, expected 1 or more", what, length_name,
                        (long long)length);
    nd_value *s = nd_cast_at(place, steps, ND_F64);
    return nd_max_at(place, s, nd_const_at(place, m, 0));
}

static nd_value *number(nd_place place, const nd_value *s, double value)
{
    return nd_const_of_at(place, s->node->module, ND_F64, value);
}

static nd_value *over(nd_place place, nd_value *s, double length)
{
    return nd_div_at(place, s, number(place, s, length));
}

static nd_value *power(nd_place place, double rate, double factor, nd_value *exponent)
{
    nd_value *first = number(place, exponent, rate);
    return nd_mul_at(place, first, nd_pow_at(place, number(place, exponent, factor), exponent));
}

nd_value *nd_rate_stairs_at(nd_place place, nd_value *steps, double rate, int64_t every, double factor)
{
    nd_value *s = begin(place, "rate_stairs", steps, every, "every");
    return nd_value_is_poison(s) ? s : power(place, rate, factor, nd_floor_at(place, over(place, s, (double)every)));
}

nd_value *nd_rate_exponential_at(nd_place place, nd_value *steps, double rate, int64_t every, double factor)
{
    nd_value *s = begin(place, "rate_exponential", steps, every, "every");
    return nd_value_is_poison(s) ? s : power(place, rate, factor, over(place, s, (double)every));
}

/* 0.5 + swing * cos(pi * part) */
static nd_value *half_cosine(nd_place place, double swing, nd_value *part)
{
    nd_value *angle = nd_mul_at(place, number(place, part, 0x1.921fb54442d18p+1), part);
    nd_value *half = number(place, part, 0.5), *wave = nd_cos_at(place, angle);
    return nd_add_at(place, half, nd_mul_at(place, number(place, part, swing), wave));
}

/* from + (to - from) * way */
static nd_value *between(nd_place place, double from, double to, nd_value *way)
{
    nd_value *start = number(place, way, from);
    return nd_add_at(place, start, nd_mul_at(place, number(place, way, to - from), way));
}

nd_value *nd_rate_cosine_at(nd_place place, nd_value *steps, double rate, int64_t total, double lowest)
{
    nd_value *s = begin(place, "rate_cosine", steps, total, "total");
    if (nd_value_is_poison(s))
        return s;
    nd_value *part = over(place, nd_min_at(place, s, number(place, s, (double)total)), (double)total);
    return between(place, lowest, rate, half_cosine(place, 0.5, part));
}

nd_value *nd_rate_warmup_at(nd_place place, nd_value *steps, int64_t length, nd_value *rate)
{
    nd_value *s = begin(place, "rate_warmup", steps, length, "length");
    if (nd_value_is_poison(s))
        return s;
    if (!rate)
        return nd__fail(s->node->module, ND_ERR_ARGUMENT, place, "rate_warmup: the rate is NULL");
    nd_value *part = over(place, nd_add_at(place, s, number(place, s, 1)), (double)length);
    part = nd_min_at(place, part, number(place, s, 1));
    return nd_mul_at(place, rate, rate->weak ? part : nd__scalar_as(place, part, rate->dtype));
}

nd_value *nd_rate_one_cycle_at(nd_place place, nd_value *steps, double highest, int64_t total)
{
    nd_value *s = begin(place, "rate_one_cycle", steps, total, "total");
    if (nd_value_is_poison(s))
        return s;
    const double rise = 0.3 * (double)total, fall = 0.7 * (double)total;
    nd_value *up = half_cosine(place, -0.5, over(place, s, rise));
    nd_value *past = nd_min_at(place, s, number(place, s, (double)total));
    past = nd_sub_at(place, past, number(place, s, rise));
    nd_value *down = half_cosine(place, -0.5, over(place, past, fall));
    nd_value *rises = nd_lt_at(place, s, number(place, s, rise));
    nd_value *early = between(place, highest / 25, highest, up);
    return nd_select_at(place, rises, early, between(place, highest, highest / 250000, down));
}
