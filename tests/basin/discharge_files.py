"""Daily means of a gauge, 1 to 5 m3/s from 1 to 5 March 2020 on 36 km2, in the layouts of archives."""

DAILY = [(f"2020-03-{day:02}", float(day)) for day in range(1, 6)]

ARCHIVES: list[tuple[str, str, str]] = [
    (
        "caravan",
        "timeseries/csv/camels/camels_012.csv",
        "date,total_precipitation_sum,streamflow\n" + "".join(f"{d},1,{q * 2.4}\n" for d, q in DAILY),
    ),
    (
        "camels",
        "01/012_streamflow_qc.txt",
        "".join(f"012 {d.replace('-', ' ')} {q / 0.3048**3:.6f} A\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_GB_hydromet_timeseries_012_19701001-20150930.csv",
        "date,precipitation,discharge_spec,discharge_vol\n" + "".join(f"{d},1,9,{q}\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_FR_tsd_012.csv",
        "# CAMELS-FR\ntsd_date;tsd_q_l;tsd_q_mm\n" + "".join(f"{d.replace('-', '')};{q * 1e3};9\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_CH_obs_based_012.csv",
        "date,discharge_vol(m3/s),discharge_spec(mm/d)\n" + "".join(f"{d},{q},9\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_DE_hydromet_timeseries_012.csv",
        "date,discharge_vol_obs,discharge_spec_obs\n" + "".join(f"{d},{q},9\n" for d, q in DAILY),
    ),
    (
        "grdc",
        "012_Q_Day.Cmd.txt",
        "# GRDC-No.:  012\n# River: RHÔNE\n# DATA\nYYYY-MM-DD;hh:mm; Value\n"
        + "".join(f"{d};--:--; {q:10.3f}\n" for d, q in DAILY),
    ),
    (
        "hubeau",
        "obs_elab.csv",
        "code_site;code_station;date_obs_elab;resultat_obs_elab;grandeur_hydro_elab;libelle_qualification\n"
        + "".join(f"01;012;{d};{q * 1e3};QmnJ;Bonne\n01;012;{d};99;HIXnJ;Bonne\n" for d, q in DAILY),
    ),
]
"""Format, name of the file, text."""
