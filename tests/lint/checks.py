# SPDX-License-Identifier: LGPL-2.1-or-later
"""The list of checks, in the order in which they run. A check takes a Tree and yields one line for each finding."""

import form
import layers

CHECKS = (
    ("each file begins with its licence and what it is for", form.check_licence),
    ("includes go downwards", layers.check_layers),
    ("no layer does the work of another", layers.check_layer_identifiers),
    ("no header includes itself", layers.check_include_cycles),
    ("each header says pragma once", form.check_pragma_once),
    ("no function body of more than three lines in a header", form.check_header_bodies),
    ("no file of 600 lines", form.check_file_length),
    ("no function of more than 80 lines", form.check_function_length),
    ("nine of ten functions under 45 lines", form.check_function_length_p90),
    ("no goto backwards", form.check_goto),
    ("no forbidden function", form.check_forbidden_functions),
    ("no sleep in a test", form.check_sleeps),
    ("no path of a private machine", form.check_stray_paths),
    ("formatted by clang-format", form.check_formatting),
)
