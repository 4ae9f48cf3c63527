/* gen_liberty.c - print a small liberty file, or with the argument `verilog` models of its cells: the areas of cells of ASAP7 7.5-track RVT (LEF of release 28, BSD-3), and delays of
 * a linear model through the two points of its data sheets (TT, 0.70 V, 25 C: 5 ps slew at least load, 40 ps at an eighth of the
 * most). One drive strength for each function: good for comparing areas and ranking delays, not for sign-off. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

static const struct cell {
    const char *name, *function, *inputs; /* one letter a pin */
    double area_um2, cap_ff, least_ps, middle_ps, least_ff, middle_ff;
} cells[] = {
    {"INVx1", "!A", "A", 0.04374, 0.62, 6.5, 37.5, 0.72, 5.76},
    {"BUFx2", "A", "A", 0.07290, 0.58, 14.0, 38.0, 1.44, 11.52},
    {"NAND2xp5", "!(A&B)", "AB", 0.05832, 0.51, 7.2, 33.6, 0.36, 2.88},
    {"NOR2xp33", "!(A|B)", "AB", 0.05832, 0.35, 9.8, 48.3, 0.36, 2.88},
    {"NAND3xp33", "!(A&B&C)", "ABC", 0.07290, 0.45, 10.5, 50.0, 0.36, 2.88},
    {"NOR3xp33", "!(A|B|C)", "ABC", 0.07290, 0.40, 13.0, 60.0, 0.36, 2.88},
    {"AND2x2", "A&B", "AB", 0.08748, 0.50, 19.5, 49.8, 1.44, 11.52},
    {"OR2x2", "A|B", "AB", 0.08748, 0.51, 20.7, 51.1, 1.44, 11.52},
    {"XOR2xp5", "A^B", "AB", 0.13122, 0.98, 13.8, 39.1, 0.36, 2.88},
    {"XNOR2xp5", "!(A^B)", "AB", 0.13122, 0.97, 13.2, 37.5, 0.36, 2.88},
    {"AOI21xp5", "!((A&B)|C)", "ABC", 0.07290, 0.53, 8.7, 35.9, 0.36, 2.88},
    {"OAI21xp5", "!((A|B)&C)", "ABC", 0.07290, 0.53, 8.7, 35.9, 0.36, 2.88},
    {"AOI22xp5", "!((A&B)|(C&D))", "ABCD", 0.08748, 0.53, 10.0, 38.0, 0.36, 2.88},
    {"OAI22xp5", "!((A|B)&(C|D))", "ABCD", 0.08748, 0.53, 10.0, 38.0, 0.36, 2.88},
    {"AO22x1", "(A&B)|(C&D)", "ABCD", 0.13122, 0.40, 22.8, 52.3, 0.72, 5.76},
    {"MAJx2", "(A&B)|(A&C)|(B&C)", "ABC", 0.13122, 0.90, 20.0, 52.0, 1.44, 11.52},
};
enum { N_CELLS = sizeof cells / sizeof *cells };
static const double slew[2] = {5, 160}, load[2] = {0.36, 23.04}, per_slew = 0.25; /* ps of delay for each ps of input slew: assumed */

/* A table of a + b load + c (slew - 5). */
static void table(const char *name, double a, double b, double c)
{
    printf("          %s (t2) { values (\"%.3f, %.3f\", \"%.3f, %.3f\"); }\n", name, a + b * load[0], a + b * load[1],
           a + b * load[0] + c * (slew[1] - slew[0]), a + b * load[1] + c * (slew[1] - slew[0]));
}

static void arc(char pin, const char *kind, double least_ps, double middle_ps, double least_ff, double middle_ff)
{
    double b = (middle_ps - least_ps - per_slew * 35) / (middle_ff - least_ff);
    b = b < 0.5 ? 0.5 : b;
    const double a = least_ps - b * least_ff;
    printf("        timing () { related_pin : \"%s\"; %s\n", pin ? (char[2]){pin, 0} : "CLK", kind);
    table("cell_rise", a, b, per_slew);
    table("cell_fall", a, b, per_slew);
    table("rise_transition", 4, 1.6 * b, 0.1);
    table("fall_transition", 4, 1.6 * b, 0.1);
    printf("        }\n");
}

static void header(void)
{
    puts("/* made by tools/gen_liberty.c */\nlibrary (asap7_areas) {\n  delay_model : table_lookup;\n  time_unit : \"1ps\";\n"
         "  voltage_unit : \"1V\";\n  current_unit : \"1mA\";\n  capacitive_load_unit (1, ff);\n  leakage_power_unit : \"1pW\";\n"
         "  pulling_resistance_unit : \"1kohm\";\n  nom_process : 1;\n  nom_voltage : 0.7;\n  nom_temperature : 25;\n"
         "  input_threshold_pct_rise : 50;\n  input_threshold_pct_fall : 50;\n  output_threshold_pct_rise : 50;\n"
         "  output_threshold_pct_fall : 50;\n  slew_lower_threshold_pct_rise : 10;\n  slew_upper_threshold_pct_rise : 90;\n"
         "  slew_lower_threshold_pct_fall : 10;\n  slew_upper_threshold_pct_fall : 90;");
    printf("  lu_table_template (t2) { variable_1 : input_net_transition; variable_2 : total_output_net_capacitance; "
           "index_1 (\"%g, %g\"); index_2 (\"%g, %g\"); }\n",
           slew[0], slew[1], load[0], load[1]);
    printf("  lu_table_template (c2) { variable_1 : related_pin_transition; variable_2 : constrained_pin_transition; "
           "index_1 (\"%g, %g\"); index_2 (\"%g, %g\"); }\n",
           slew[0], slew[1], slew[0], slew[1]);
}

/* The cells as modules, to simulate a netlist. The flip-flop's output is inverted. */
static void models(void)
{
    puts("// made by tools/gen_liberty.c");
    for (const struct cell *c = cells; c < cells + N_CELLS; c++) {
        printf("module %s (", c->name);
        for (const char *p = c->inputs; *p; p++)
            printf("input %c, ", *p);
        char f[64];
        snprintf(f, sizeof f, "%s", c->function);
        for (char *p = f; *p; p++)
            *p = *p == '!' ? '~' : *p;
        printf("output Y);\n  assign Y = %s;\nendmodule\n", f);
    }
    puts("module DFFHQNx1 (input CLK, input D, output reg QN);\n  always @(posedge CLK) QN <= ~D;\nendmodule\n"
         "module TIEHIx1 (output H);\n  assign H = 1'b1;\nendmodule\nmodule TIELOx1 (output L);\n  assign L = 1'b0;\nendmodule");
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "verilog")) {
        models();
        return 0;
    }
    header();
    for (const struct cell *c = cells; c < cells + N_CELLS; c++) {
        printf("  cell (%s) {\n    area : %.5f;\n", c->name, c->area_um2);
        for (const char *p = c->inputs; *p; p++)
            printf("    pin (%c) { direction : input; capacitance : %g; }\n", *p, c->cap_ff);
        printf("    pin (Y) {\n      direction : output;\n      function : \"%s\";\n      max_capacitance : %g;\n", c->function, load[1]);
        const char *sense = strchr(c->function, '^') ? "timing_sense : non_unate;"
                            : c->function[0] == '!' ? "timing_sense : negative_unate;"
                                                    : "timing_sense : positive_unate;";
        for (const char *p = c->inputs; *p; p++)
            arc(*p, sense, c->least_ps, c->middle_ps, c->least_ff, c->middle_ff);
        puts("    }\n  }");
    }
    puts("  cell (DFFHQNx1) {\n    area : 0.29160;\n    ff (IQ, IQN) { clocked_on : \"CLK\"; next_state : \"D\"; }\n"
         "    pin (CLK) { direction : input; clock : true; capacitance : 0.475; }\n"
         "    pin (D) {\n      direction : input;\n      capacitance : 0.559;\n"
         "      timing () { related_pin : \"CLK\"; timing_type : setup_rising;\n"
         "        rise_constraint (c2) { values (\"10, 10\", \"10, 10\"); }\n"
         "        fall_constraint (c2) { values (\"10, 10\", \"10, 10\"); } }\n    }\n"
         "    pin (QN) {\n      direction : output;\n      function : \"IQN\";");
    arc(0, "timing_type : rising_edge;", 46.1, 82.7, 0.72, 5.76);
    puts("    }\n  }\n  cell (TIEHIx1) { area : 0.04374; pin (H) { direction : output; function : \"1\"; } }\n"
         "  cell (TIELOx1) { area : 0.04374; pin (L) { direction : output; function : \"0\"; } }\n}");
    return 0;
}
