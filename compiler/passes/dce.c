/* Dead code: what no entry point and no initial value needs goes, and with it the bodies that nothing runs. Inputs of
 * functions and variables stay: they are the program's face. */
#include "compiler/passes/passes.h"

nd_module *nd__dce(nd_module *m)
{
    return nd__module_copy(m, NULL);
}
