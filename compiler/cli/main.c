#include "compiler/cli/cli.h"

int main(int argc, char **argv)
{
    return nd__cli(argc - 1, argv + 1, stdout, stderr);
}
