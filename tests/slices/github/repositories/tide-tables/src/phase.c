/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

/* The moon's phase, 0 at new moon and 0.5 at full moon, for a Julian day. */
double moon_phase(double julian_day)
{
    double synodic = 29.530588853;
    double since_new = julian_day - 2451550.1;
    double phase = fmod(since_new / synodic, 1.0);
    return phase < 0 ? phase + 1.0 : phase;
}
