"""GR as ordinary differential equations, and one implicit Euler step (P2 eqs 5, 6, 8-10; Santos et al. 2018).

    cp dhp/dt = (1 - hp^2) a - hp (2 - hp) b
    ct dht/dt = 0.9 hp^2 a + k h^(7/2) - ct/4 o ht^5
    qt        = 0.1 hp^2 a + k h^(7/2) + ct/4 o ht^5                      at the new levels

| symbol | meaning | unit |
|---|---|---|
| a | rain pn (1 + f1) | mm/step |
| b | evapotranspiration en (1 + f2) | mm/step |
| k | exchange coefficient kexc (1 + f3) | mm/step |
| o | outflow factor 1 + f4 | - |
| cp, ct | capacities; inverse_ct is 1/ct | mm |
| hp, ht | relative levels of the production and the transfer store; hp0, ht0 before the step | - |
| h | level that drives the exchange: ht, or 1 where a store above its capacity gains (`exchange`) | - |
| qt | runoff of the cell; exchange can make it negative | mm/step |

With corrections f1..f4 that do not depend on the new levels (`ode`: 0; `node`, previous: held over the step) the first
equation holds hp alone and is a quadratic: its root is written down. The second is then one equation for ht.
"""

from hydrocli.jit import kernel
from hydrocli.water.exchange import driving_level, driving_level_adjoint
from hydrocli.water.vector_math import sqrt


@kernel
def production_root(a, b, cp, hp0):
    """New level hp: the root of cp (hp - hp0) = (1 - hp^2) a - hp (2 - hp) b in [0, 1]."""
    held = cp * hp0 + a
    half = 0.5 * cp + b
    square = half * half + (a - b) * held
    return held / (half + sqrt(square))


@kernel
def production_root_adjoint(a, b, cp, hp0, hp_bar):
    """Bars of a, b, cp, hp0, by the equation that hp satisfies."""
    held = cp * hp0 + a
    half = 0.5 * cp + b
    square = half * half + (a - b) * held
    root = sqrt(square)
    hp = held / (half + root)
    # d/dhp of cp (hp - hp0) - (1 - hp^2) a + hp (2 - hp) b = cp + 2 a hp + 2 b (1 - hp)
    residual_bar = hp_bar / (cp + 2.0 * (a * hp + b * (1.0 - hp)))
    return (
        residual_bar * (1.0 - hp * hp),
        -residual_bar * hp * (2.0 - hp),
        residual_bar * (hp0 - hp),
        residual_bar * cp,
    )


@kernel
def transfer_residual(inflow, k, o, inverse_ct, ht0, ht):
    """What ct (ht - ht0) = inflow + k h^(7/2) - ct/4 o ht^5 leaves [-], and its derivative by ht."""
    h, h2 = driving_level(k, ht), ht * ht
    _, h_slope = driving_level_adjoint(k, ht, 1.0)
    outflow = 0.25 * o * h2 * h2
    exchanged = k * inverse_ct * (h * h) * sqrt(h)
    return (
        ht - ht0 - inflow * inverse_ct - exchanged * h + outflow * ht,
        1.0 - 3.5 * exchanged * h_slope + 5.0 * outflow,
    )


@kernel
def transfer_residual_adjoint(inflow, k, o, inverse_ct, ht0, ht, residual_bar, slope_bar):
    """Bars of inflow, k, o, inverse_ct, ht0, ht."""
    h, h2 = driving_level(k, ht), ht * ht
    _, h_slope = driving_level_adjoint(k, ht, 1.0)
    h4 = h2 * h2
    h15 = h * sqrt(h)
    h25 = h * h15
    outflow_bar = residual_bar * ht + 5.0 * slope_bar
    exchanged_bar = -residual_bar * h - 3.5 * slope_bar * h_slope
    h_bar = k * inverse_ct * (2.5 * exchanged_bar * h15 - residual_bar * h25)
    return (
        -residual_bar * inverse_ct,
        exchanged_bar * inverse_ct * h25,
        0.25 * outflow_bar * h4,
        -residual_bar * inflow + exchanged_bar * k * h25,
        -residual_bar,
        residual_bar * (1.0 + 0.25 * o * h4) + outflow_bar * o * h2 * ht + h_bar * h_slope,
    )


@kernel
def state_space_fluxes(a, b, k, o, ct, hp, ht):
    """Infiltration ps, evaporation es, passing rain pr, exchange F of one branch, outflow qr [mm/step] at levels."""
    h, h2, filled = driving_level(k, ht), ht * ht, hp * hp
    F = k * (h * h) * h * sqrt(h)
    return (1.0 - filled) * a, hp * (2.0 - hp) * b, filled * a, F, 0.25 * ct * o * h2 * h2 * ht


@kernel
def state_space_fluxes_adjoint(a, b, k, o, ct, hp, ht, ps_bar, es_bar, pr_bar, F_bar, qr_bar):
    """Bars of a, b, k, o, ct, hp, ht."""
    h, h2, filled = driving_level(k, ht), ht * ht, hp * hp
    _, h_slope = driving_level_adjoint(k, ht, 1.0)
    h25, h4 = h * h * sqrt(h), h2 * h2
    outflow_bar = 0.25 * qr_bar * h4 * ht
    return (
        ps_bar * (1.0 - filled) + pr_bar * filled,
        es_bar * hp * (2.0 - hp),
        F_bar * h25 * h,
        outflow_bar * ct,
        outflow_bar * o,
        2.0 * (hp * a * (pr_bar - ps_bar) + (1.0 - hp) * b * es_bar),
        3.5 * F_bar * k * h25 * h_slope + 1.25 * qr_bar * ct * o * h4,
    )


@kernel
def state_space_runoff(a, k, o, ct, hp, ht):
    """Runoff qt [mm/step] at the new levels (P2 eq. 6)."""
    _, _, _, F, qr = state_space_fluxes(a, 0.0 * a, k, o, ct, hp, ht)
    return 0.1 * hp * hp * a + F + qr


@kernel
def state_space_runoff_adjoint(a, k, o, ct, hp, ht, qt_bar):
    """Bars of a, k, o, ct, hp, ht."""
    h, h2 = driving_level(k, ht), ht * ht
    _, h_slope = driving_level_adjoint(k, ht, 1.0)
    h25, h4 = h * h * sqrt(h), h2 * h2
    outflow_bar = 0.25 * qt_bar * h4 * ht
    return (
        qt_bar * 0.1 * hp * hp,
        qt_bar * h25 * h,
        outflow_bar * ct,
        outflow_bar * o,
        qt_bar * 0.2 * hp * a,
        qt_bar * (3.5 * k * h25 * h_slope + 1.25 * ct * o * h4),
    )


@kernel
def state_space_rates(a, b, k, o, inverse_cp, inverse_ct, hp, ht):
    """dhp/dt and dht/dt [1/step] (P2 eq. 5)."""
    ps, es, pr, F, qr = state_space_fluxes(a, b, k, o, 1.0 / inverse_ct, hp, ht)
    return inverse_cp * (ps - es), inverse_ct * (0.9 * pr + F - qr)


@kernel
def state_space_rates_adjoint(a, b, k, o, inverse_cp, inverse_ct, hp, ht, hp_rate_bar, ht_rate_bar):
    """Bars of a, b, k, o, inverse_cp, inverse_ct, hp, ht; the outflow, ct o / 4 ht^5, leaves no ct in the rate."""
    ct = 1.0 / inverse_ct
    ps, es, pr, F, _ = state_space_fluxes(a, b, k, o, ct, hp, ht)
    moved_bar, filled_bar = hp_rate_bar * inverse_cp, ht_rate_bar * inverse_ct
    a_bar, b_bar, k_bar, o_bar, _, hp_bar, ht_bar = state_space_fluxes_adjoint(
        a, b, k, o, ct, hp, ht, moved_bar, -moved_bar, 0.9 * filled_bar, filled_bar, -filled_bar
    )
    return a_bar, b_bar, k_bar, o_bar, hp_rate_bar * (ps - es), ht_rate_bar * (0.9 * pr + F), hp_bar, ht_bar


@kernel
def coupling(pn, en, kexc, inverse_cp, inverse_ct, hp, ht, exchanged, f1h, f2h, f3h, f4h):
    """What the derivative (f1h..f4h) of the corrections by one level adds to the derivatives of both residuals.

    The residuals are those of production and transfer divided by their capacities; exchanged is h^(7/2).
    """
    h4 = ht * ht * ht * ht
    return (
        -inverse_cp * ((1.0 - hp * hp) * pn * f1h - hp * (2.0 - hp) * en * f2h),
        -inverse_ct * (0.9 * hp * hp * pn * f1h + kexc * exchanged * f3h) + 0.25 * h4 * ht * f4h,
    )


@kernel
def coupling_adjoint(
    pn, en, kexc, inverse_cp, inverse_ct, hp, ht, exchanged, f1h, f2h, f3h, f4h, production_bar, transfer_bar
):
    """Bars of the arguments of `coupling`, in their order."""
    h4 = ht * ht * ht * ht
    wet, dry = 1.0 - hp * hp, hp * (2.0 - hp)
    moved_bar = -inverse_cp * production_bar
    filled_bar = -inverse_ct * transfer_bar
    return (
        (moved_bar * wet + 0.9 * filled_bar * hp * hp) * f1h,
        -moved_bar * dry * f2h,
        filled_bar * exchanged * f3h,
        -production_bar * (wet * pn * f1h - dry * en * f2h),
        -transfer_bar * (0.9 * hp * hp * pn * f1h + kexc * exchanged * f3h),
        -2.0 * moved_bar * (hp * pn * f1h + (1.0 - hp) * en * f2h) + 1.8 * filled_bar * hp * pn * f1h,
        1.25 * transfer_bar * h4 * f4h,
        filled_bar * kexc * f3h,
        (moved_bar * wet + 0.9 * filled_bar * hp * hp) * pn,
        -moved_bar * dry * en,
        filled_bar * kexc * exchanged,
        0.25 * transfer_bar * h4 * ht,
    )
