/* Images in the lanes: arrays [n, h, w, c] as blocks [n / lanes, h, w, c, lanes].
 *
 * Where channels do not fill the lanes, a kernel computes a vector of images at a time, each by itself: whatever the
 * number of channels, their borders or windows, all lanes are full. What the kernel reads and writes of the images is
 * then copied into blocks and back, transposed in registers, which takes little beside a convolution.
 *
 * In the kernel's domain the images are two axes, 0 by blocks and LANE within one. */
#include "compiler/schedule/window.h"

enum { LANE = ND__LANE_OF_BLOCKS };

/* The size of what is left when neighbours among the axes that lie like one become one. */
static int merge_axes(int rank, int64_t *size, int64_t *stride)
{
    int kept = 0;
    for (int d = 1; d < rank; d++)
        if (stride[kept] == stride[d] * size[d]) {
            size[kept] *= size[d];
            stride[kept] = stride[d];
        } else {
            size[++kept] = size[d];
            stride[kept] = stride[d];
        }
    return kept + 1;
}

static bool copy_into_blocks(nd__block *b, const nd_value *base, nd__spot from, int64_t offset, const int64_t *dims,
                             const int64_t *strides, int lanes, nd__spot *to, nd__steps *steps)
{
    int64_t size[5] = {dims[0] / lanes, dims[1], dims[2], dims[3], lanes};
    int64_t stride[5] = {lanes * strides[0], strides[1], strides[2], strides[3], strides[0]};
    const int inner = merge_axes(3, size + 1, stride + 1);
    size[1 + inner] = size[4];
    stride[1 + inner] = stride[4];
    return nd__copy_view(b, base, from, offset, 2 + inner, size, stride, to, steps);
}

bool nd__image_to_blocks(nd__block *b, const nd_shape *shape, int lanes, nd__image *image, nd__steps *steps)
{
    const int64_t *dims = shape->dims;
    if (!copy_into_blocks(b, image->base, image->spot, image->offset, dims, image->stride, lanes, &image->spot, steps))
        return false;
    image->offset = 0;
    image->count = nd__elements(shape);
    image->stride[3] = lanes;
    image->stride[2] = dims[3] * image->stride[3];
    image->stride[1] = dims[2] * image->stride[2];
    image->stride[0] = dims[1] * dims[2] * dims[3]; /* of a block's first image */
    return true;
}

/* -- what a kernel reads and writes at its points ------------------------------------------------------------------ */

static nd__lin row_major(const nd__space *s)
{
    int64_t strides[4];
    nd__lin at = nd__lin_const(0);
    nd__strides(4, s->size, strides);
    for (int d = 0; d < 4; d++)
        at.coef[d] = strides[d];
    return at;
}

static nd__lin in_blocks(const nd__space *s, int lanes)
{
    nd__lin at = row_major(s);
    for (int d = 1; d < 4; d++)
        at.coef[d] *= lanes;
    at.coef[LANE] = 1;
    return at;
}

/* Of what can be turned in registers. */
static bool is_plain(const nd__space *s, int param, const nd__lin *at, nd__kaccess access)
{
    const nd__lin plain = row_major(s);
    const nd__param *p = &s->params[param];
    return p->access == access && (nd_dtype_size(p->dtype) == 4 || p->dtype == ND_U8) &&
           p->elems == s->size[0] * plain.coef[0] && nd__lin_equal(at, &plain);
}

bool nd__fits_blocks(const nd__space *s)
{
    for (int i = 0; i < s->expr_count && !s->failed; i++) {
        const nd__expr *x = &s->exprs[i];
        if (!(x->axes & 1u) || x->kind == ND__E_OP || x->kind == ND__E_GIVEN)
            continue;
        if (x->kind != ND__E_LOAD || !x->value || !is_plain(s, x->param, &x->at, ND__K_IN))
            return false;
    }
    for (int i = 0; i < s->output_count; i++) {
        const nd__output *o = &s->outputs[i];
        if (!s->exprs[o->expr].value || !is_plain(s, o->param, &o->at, ND__K_OUT))
            return false;
    }
    return !s->failed;
}

/* Copies what parameter `param` holds; all loads of it move with it. */
static bool load_of_blocks(nd__space *s, int param, const nd_value *value, int lanes, nd__steps *steps)
{
    int64_t strides[4];
    nd__param *p = &s->params[param];
    nd__strides(4, s->size, strides);
    if (!copy_into_blocks(s->block, value, p->spot, 0, s->size, strides, lanes, &p->spot, steps))
        return false;
    const nd__lin at = in_blocks(s, lanes);
    for (int i = 0; i < s->expr_count; i++)
        if (s->exprs[i].kind == ND__E_LOAD && s->exprs[i].param == param) {
            s->exprs[i].at = at;
            s->exprs[i].axes |= 1u << LANE;
        }
    return true;
}

bool nd__space_to_blocks(nd__space *s, int lanes, nd__steps *steps)
{
    for (int i = 0; i < s->expr_count; i++) {
        nd__expr *x = &s->exprs[i];
        if (x->kind == ND__E_LOAD && (x->axes & 1u) && x->at.coef[LANE] == 0 &&
            !load_of_blocks(s, x->param, x->value, lanes, steps))
            return false;
        if (x->axes & 1u)
            x->axes |= 1u << LANE;
    }
    for (int i = 0; i < s->output_count; i++) {
        nd__output *o = &s->outputs[i];
        nd__param *p = &s->params[o->param];
        o->at = in_blocks(s, lanes);
        p->home = p->spot;
        p->spot = nd__new_buffer(s->block, p->dtype, p->elems, p->name);
        if (p->spot.buffer < 0)
            return false;
    }
    s->size[LANE] = lanes;
    return true;
}

bool nd__space_from_blocks(const nd__space *s, const int64_t *dims, int lanes, nd__steps *steps)
{
    const int64_t each = dims[1] * dims[2] * dims[3];
    const int64_t size[] = {dims[0] / lanes, lanes, each}, stride[] = {lanes * each, 1, lanes};
    for (int i = 0; i < s->output_count; i++) {
        const nd__output *o = &s->outputs[i];
        const nd__param *p = &s->params[o->param];
        if (!nd__turn(s->block, s->exprs[o->expr].value, p->spot, 0, 3, size, stride, p->home, steps))
            return false;
    }
    return true;
}
