#!/bin/sh
# verilate.sh LIB HEADER NAME TOP 'PARAMETERS' FILES... - a Verilator model of TOP with the parameters (A=1 B=2 ...), behind a
# C interface: LIB is a static library (link it with -lstdc++), HEADER declares NAME_new, NAME_free, NAME_eval and one typed
# pointer NAME_PORT(m) for each port, wide ports as words of 32 bits. Verilator writes C++ only; the file made here is the only
# other C++ there is, and neither is kept.
# verilate.sh --runtime LIB - the library that all models need behind theirs.
set -eu
include=$(verilator --getenv VERILATOR_ROOT)/include
cxx() { ${CXX:-c++} -I"$include" -I"$include/vltstd" -DVM_COVERAGE=0 -DVM_SC=0 -DVM_TRACE=0 "$@"; }
if [ "$1" = --runtime ]; then
    lib=$(realpath -m "$2") dir=$(realpath -m "$2").d
    mkdir -p "$dir"
    for f in verilated verilated_threads; do cxx -O2 -c "$include/$f.cpp" -o "$dir/$f.o"; done
    rm -f "$lib"
    ar rcs "$lib" "$dir"/*.o
    rm -rf "$dir"
    exit
fi
lib=$(realpath -m "$1") header=$(realpath -m "$2") name=$3 top=$4 params=$5
shift 5
dir=$lib.d
rm -rf "$dir"
mkdir -p "$dir"
set -- $(for p in $params; do printf -- '-G%s ' "$p"; done) "$@"
# UNUSEDSIGNAL: parameterised blocks leave bits of chains and edges unused.
verilator --cc -O3 --x-assign fast --x-initial fast -Wall -Wno-UNUSEDSIGNAL ${VERILATE:-} --top-module "$top" --prefix "V$name" --Mdir "$dir" "$@"
make -s -C "$dir" -f "V$name.mk" OPT_FAST=${VERILATE_OPT:--O2} "V${name}__ALL.a" >/dev/null

ports() { # type, name, expression of each port
    grep -oE 'VL_(IN|OUT)(8|16|64|W)?\(&[A-Za-z0-9_]+,[0-9,]+\)' "$dir/V$name.h" |
        sed -E 's/VL_(IN|OUT)(8|16|64|W)?\(&([A-Za-z0-9_]+),.*/\2 \3/; s/^ /32 /' |
        while read -r kind port; do
            case $kind in
            W) echo "uint32_t $port m->top->$port.data()" ;;
            *) echo "uint${kind}_t $port &m->top->$port" ;;
            esac
        done
}
{
    echo "/* made by rtl/dv/verilate.sh */"
    echo "#ifndef SHIM_$name"
    echo "#define SHIM_$name"
    echo "#include <stdint.h>"
    echo "#ifdef __cplusplus"
    echo 'extern "C" {'
    echo "#endif"
    echo "struct $name;"
    echo "struct $name *${name}_new(void);"
    echo "void ${name}_free(struct $name *m);"
    echo "void ${name}_eval(struct $name *m);"
    ports | while read -r type port _; do echo "$type *${name}_$port(struct $name *m);"; done
    echo "#ifdef __cplusplus"
    echo "}"
    echo "#endif"
    echo "#endif"
} >"$header"
{
    echo "#include \"V$name.h\""
    echo "#include \"$header\""
    echo "struct $name { VerilatedContext context; V$name *top; };"
    echo "struct $name *${name}_new(void) { struct $name *m = new struct $name; m->top = new V$name(&m->context); return m; }"
    echo "void ${name}_free(struct $name *m) { m->top->final(); delete m->top; delete m; }"
    echo "void ${name}_eval(struct $name *m) { m->top->eval(); }"
    ports | while read -r type port expression; do
        echo "$type *${name}_$port(struct $name *m) { return reinterpret_cast<$type *>($expression); }"
    done
} >"$dir/shim.cpp"
cxx -O2 -I"$dir" -c "$dir/shim.cpp" -o "$dir/shim.o"
(cd "$dir" && ar x "V${name}__ALL.a" && rm -f "$lib" && ar rcs "$lib" ./*.o)
rm -rf "$dir"
