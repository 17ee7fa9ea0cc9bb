/* C has no operators to overload; C++ has, and nadir.hpp is a few lines over the same graph. */
#include "lab.h"

#include "nadir/nadir.hpp"

nd_value *add_by_operator(nd_value *a, nd_value *b)
{
    return (nd::value(a) + b).get();
}
