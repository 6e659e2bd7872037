"""Answers the commands for runs of the ``text`` kind; torch is imported where it is needed."""

from __future__ import annotations

import argparse
from pathlib import Path

from podium_models.settings import override, read_config, require_kind, write_config
from podium_models.text.config import KIND, Config


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Adds the names of the products' columns."""
    from podium_models.text.data.products import Columns

    for name, default in Columns()._asdict().items():
        text = f"the products' column (default: {default})"
        parser.add_argument(f"--{name}", default=default, metavar="COLUMN", help=text)


def add_prepare(sorts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``prepare judgements``, ``prepare catalogue`` and ``prepare attributes``."""
    text = "queries with rated products, for a text ranker"
    parser = sorts.add_parser("judgements", help=text, description=text)
    parser.add_argument(
        "--ratings", type=Path, required=True, help="CSV or Parquet, one pair a row"
    )
    parser.add_argument("--products", type=Path, nargs="+", required=True, metavar="FILE")
    for name, default in (("query", "query"), ("item", "docid"), ("rating", "rating")):
        text = f"the ratings' column (default: {default})"
        parser.add_argument(f"--{name}-column", default=default, metavar="COLUMN", help=text)
    add_columns(parser)
    parser.set_defaults(call=prepare_judgements)
    text = "a shop's products as a catalogue that its server's configuration names"
    parser = sorts.add_parser("catalogue", help=text, description=text)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="products.csv or products.csv.gz")
    text = "put the description behind the title, as the catalogue has no column for it"
    parser.add_argument("--append-description", action="store_true", help=text)
    add_columns(parser)
    parser.set_defaults(call=prepare_catalogue)
    text = "products with attributes, to predict these from title and brand"
    parser = sorts.add_parser("attributes", help=text, description=text)
    parser.add_argument("--products", type=Path, nargs="+", required=True, metavar="FILE")
    text = "columns that start so are attributes (default: attr_t_)"
    parser.add_argument("--prefix", default="attr_t_", help=text)
    add_columns(parser)
    parser.set_defaults(call=prepare_attributes)


def prepare_judgements(arguments: argparse.Namespace) -> None:
    """Cleans products and ratings, deals folds, writes the report."""
    from podium_models.text import prepare
    from podium_models.text.data.judgements import RatingColumns
    from podium_models.text.data.products import Columns

    require_kind(arguments.run, KIND)
    given = arguments
    ratings = RatingColumns(given.query_column, given.item_column, given.rating_column)
    columns = (ratings, Columns(given.id, given.title, given.brand, given.description))
    config = override(Config(), given.set)
    counts = prepare.prepare_judgements(given.run, given.ratings, given.products, columns, config)
    for name, count in counts.items():
        print(f"{name}: {count}")


def prepare_catalogue(arguments: argparse.Namespace) -> None:
    """Cleans products and writes the catalogue."""
    from podium_models.text.data.catalogue import write_catalogue
    from podium_models.text.data.products import Columns, clean_products, read_all

    given = arguments
    columns = Columns(given.id, given.title, given.brand, given.description)
    longest = override(Config(), given.set).data.longest_text
    products = clean_products(read_all(given.files), columns, longest)
    for name, count in write_catalogue(products, given.out, given.append_description).items():
        print(f"{name}: {count}")


def prepare_attributes(arguments: argparse.Namespace) -> None:
    """Chooses labels, splits products by title, writes the report."""
    from podium_models.text.attributes.data import prepare
    from podium_models.text.data.products import Columns

    require_kind(arguments.run, KIND)
    given = arguments
    columns = Columns(given.id, given.title, given.brand, given.description)
    config = override(Config(), given.set)
    for name, count in prepare(given.run, given.products, columns, given.prefix, config).items():
        print(f"{name}: {count}")


def is_attributes(run: Path) -> bool:
    """Says whether a run predicts attributes instead of ranking."""
    from podium_models.text.attributes.data import PREPARED

    return (run / PREPARED).is_file()


def train(arguments: argparse.Namespace) -> None:
    """Fine-tunes, or goes on fine-tuning, for every fold and for all queries."""
    config = override(read_config(arguments.run, Config()), arguments.set)
    if is_attributes(arguments.run):
        write_config(arguments.run, KIND, config)
        from podium_models.text.attributes.train import train_head

        train_head(arguments.run, arguments.run, config)
        return
    from podium_models.text.data.prepared import load_prepared
    from podium_models.text.training.teacher import train_teacher

    train_teacher(arguments.run, load_prepared(arguments.run), config)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures by cross-validation, or through a running server where a target is given."""
    config = read_config(arguments.run, Config())
    if is_attributes(arguments.run):
        from podium_models.text.attributes.evaluate import evaluate as evaluate_head

        evaluate_head(arguments.run, config)
        return
    from podium_models.text.data.prepared import load_prepared

    prepared = load_prepared(arguments.run)
    if arguments.target is None:
        from podium_models.text.evaluation.offline import evaluate as evaluate_offline

        evaluate_offline(arguments.run, prepared, config)
        return
    from podium_models.text.evaluation.served import evaluate_served

    evaluate_served(arguments.models, prepared, config, arguments.target, arguments.requests)


def objective(run: Path, settings: list[str], trial_dir: Path) -> float:
    """Trains with some settings on a run's data; returns what its validation data say.

    That is the NDCG@10 of the teacher, mean over folds of their best, or the micro F1 of the head
    of attributes. Settings that would change the prepared data raise ``ValueError``.
    """
    config = read_config(run, Config())
    changed = override(config, settings)
    if changed.data != config.data or fixed_of(changed) != fixed_of(config):
        raise ValueError("a trial shares the run's prepared data: tune what `train` uses alone")
    write_config(trial_dir, KIND, changed)
    if is_attributes(run):
        from podium_models.text.attributes.train import train_head

        return train_head(run, trial_dir, changed)
    from podium_models.text.data.prepared import load_prepared
    from podium_models.text.training.teacher import try_teacher

    return try_teacher(trial_dir, load_prepared(run), changed)


def fixed_of(config: Config) -> tuple[object, ...]:
    """Returns the settings of attributes that `prepare` used."""
    return config.attributes.seed, config.attributes.support, config.attributes.labels


def export(arguments: argparse.Namespace) -> None:
    """Writes the bundle that ``model.bundle`` names."""
    from podium_models.text.data.prepared import load_prepared
    from podium_models.text.export.bundle import export as export_bundle

    if arguments.compressed not in (None, "int8-dynamic"):
        raise ValueError(f"--compressed {arguments.compressed}: a text run ships int8-dynamic")
    config = read_config(arguments.run, Config())
    export_bundle(arguments.run, load_prepared(arguments.run), config, arguments.models)
