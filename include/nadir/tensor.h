#include "nadir/base.h"
