"""What was meant by a key or a value that there is not: as other tools call it, or misspelled."""

from __future__ import annotations

from collections.abc import Iterable

from configs.keys import by_path
from spelling import nearest

KEY_NAMES = {
    "data.path": "file filename filepath csv input inputs table dataset data_path train_path "
    "train_file train_data source url",
    "data.target": "target label labels y target_column target_name label_column dependent "
    "response outcome output_column predict y_column",
    "data.exclude": "drop drop_columns drop_cols ignore ignore_columns exclude_columns "
    "columns_to_drop skip_columns remove features feature_columns include use_columns usecols",
    "data.kinds": "dtype dtypes types column_types feature_types schema kind categorical "
    "categorical_features cat_features categorical_columns cat_cols numeric_features num_cols ids "
    "id_column",
    "data.columns": "header names column_names feature_names",
    "data.separator": "sep delimiter delim field_separator",
    "data.decimal_comma": "decimal decimal_separator",
    "data.comment": "comments comment_char skip_blank",
    "data.time_format": "date_format datetime_format parse_dates dayfirst format_date",
    "data.missing.values": "na na_values null_values nan_values missing_values",
    "data.missing.numeric": "impute imputer imputation fillna fill strategy fill_strategy",
    "data.missing.constant": "fill_value",
    "data.missing.indicator": "add_indicator missing_indicator",
    "data.categories.one_hot": "onehot one_hot_max_size max_cat_to_onehot max_categories",
    "data.categories.min_count": "min_frequency min_freq min_data_per_group",
    "data.split.train": "train_size train_split train_fraction train_ratio",
    "data.split.validation": "val valid val_size valid_size validation_size validation_split "
    "validation_fraction val_split val_ratio eval_size dev",
    "data.split.test": "test_size test_split test_fraction test_ratio holdout",
    "data.split.folds": "cv kfold k_fold k_folds n_folds nfold n_splits cross_validation "
    "cross_validate",
    "data.split.column": "group groups group_column group_key time_column date_column split_column",
    "data.split.validation_path": "val_path val_file valid_path valid_file eval_path",
    "data.split.test_path": "test_file test_data",
    "data.split.method": "split_method split_type strategy shuffle",
    "data.scale.features": "scaler scaling normalize normalise normalization_features standardize "
    "feature_scaling",
    "data.scale.target": "log log1p log_target target_transform transform_target target_scaling "
    "y_scaler",
    "data.memory_limit": "memory max_memory low_memory",
    "model.name": "type arch architecture network net algorithm estimator backbone model_name "
    "model_type",
    "model.hidden": "layers hidden_layers hidden_layer hidden_layer_sizes hidden_sizes hidden_size "
    "hidden_dim hidden_dims hidden_units units neurons n_hidden layer_sizes dims num_layers "
    "n_layers depth",
    "model.activation": "act activation_function act_fn nonlinearity non_linearity",
    "model.embedding": "embed embed_dim embedding_dim embedding_size emb_dim cat_emb_dim",
    "model.dropout": "dropout_rate drop_rate dropout_prob p_dropout",
    "model.width": "d d_model d_main channels",
    "model.blocks": "n_blocks num_blocks",
    "model.normalization": "norm norm_layer batch_norm batchnorm layer_norm",
    "loss.name": "criterion objective loss_fn loss_function cost error",
    "loss.delta": "huber_delta epsilon",
    "optimizer.name": "optim solver opt optimiser optimizer_name optimizer_type",
    "optimizer.learning_rate": "lr eta learning_rate_init step_size base_lr initial_lr lr0 "
    "start_lr rate learningrate",
    "optimizer.weight_decay": "wd l2 l2_reg reg_lambda lambda_l2 regularization alpha "
    "l2_regularization weight_decay_rate",
    "optimizer.momentum": "mom",
    "optimizer.beta1": "beta_1 b1 betas",
    "optimizer.beta2": "beta_2 b2",
    "schedule.name": "scheduler lr_scheduler lr_schedule learning_rate_schedule lr_policy",
    "schedule.gamma": "decay decay_rate lr_decay lr_gamma factor",
    "schedule.every": "decay_steps lr_step step_epochs",
    "train.epochs": "epochs epoch n_epochs num_epochs max_epochs nb_epoch n_epoch iterations "
    "n_iter max_iter num_iterations n_estimators num_boost_round passes",
    "train.batch_size": "batch batchsize bs minibatch mini_batch minibatch_size "
    "train_batch_size per_device_train_batch_size",
    "train.seed": "seed random_state random_seed manual_seed rng",
    "train.device": "gpu gpus cuda use_gpu use_cuda accelerator devices task_type place",
    "train.precision": "amp mixed_precision use_amp amp_level fp16 bf16 half dtype",
    "train.patience": "early_stop early_stopping early_stopping_rounds n_iter_no_change "
    "early_stopping_patience",
    "train.average": "averaging ema swa weight_averaging",
    "train.export": "save_best save_best_only restore_best_weights best",
    "train.log_every": "log_interval log_every_n_steps logging_steps print_every verbose_eval",
    "checkpoint.epochs": "save_interval save_epochs save_every_epochs save_freq",
    "checkpoint.steps": "save_steps checkpoint_every save_every",
    "checkpoint.keep": "save_total_limit max_to_keep save_top_k",
    "intervals.coverage": "quantile quantiles confidence confidence_level prediction_interval "
    "interval level",
    "export.onnx": "onnx to_onnx export_onnx save_onnx",
    "card.intended_use": "description purpose",
    "run.dir": "output output_dir out out_dir outdir save_dir logdir log_dir run_dir "
    "checkpoint_dir workdir work_dir results experiment exp_name run_name",
}
BY_NAME: dict[str, str] = {}
for _path, _names in KEY_NAMES.items():
    for _name in _names.split():
        BY_NAME.setdefault(_name, _path)

VALUE_NAMES = {
    "mse": "l2 rmse squared_error mean_squared_error squared_loss regression reg:squarederror",
    "mae": "l1 absolute_error mean_absolute_error absolute_loss",
    "huber": "smooth_l1 smoothl1",
    "linear": "line ols linear_regression linearregression lm glm regression",
    "mlp": "nn dnn fnn ann neural_network neuralnetwork neural mlpregressor feedforward dense fc",
    "resnet": "residual res_net",
    "realmlp": "real_mlp realmlp_td",
    "tabm": "tab_m tabular_m batchensemble",
    "blend": "ensemble mean average stack stacking",
    "momentum": "nesterov sgd_momentum",
    "min_max": "minmax min_max_scaler minmaxscaler normalize",
    "standard": "standardize standardise standard_scaler standardscaler zscore z_score z-score",
    "log1p": "log logarithm",
    "numeric": "float double int integer number num numerical continuous real",
    "categorical": "category cat string str text object nominal factor enum",
    "boolean": "bool binary flag",
    "time": "date datetime timestamp",
    "id": "index key identifier",
    "ignored": "ignore drop skip exclude excluded none",
    "random": "shuffle shuffled",
    "sequential": "order ordered in_order no_shuffle",
    "group": "groups grouped groupkfold",
    "files": "file paths",
    "constant": "fixed none",
    "cosine": "cos cosineannealing cosine_annealing",
    "step": "steplr multistep",
    "gpu": "cuda",
    "float32": "fp32 full single",
    "bfloat16": "bf16 mixed",
    "float16": "fp16 half",
    "relu": "rectifier",
    "sigmoid": "logistic",
    "white_space": "whitespace space spaces",
    "jsonl": "json ndjson jsonlines",
    "arrow": "feather ipc",
}


def key_like(path: str) -> str | None:
    """The key that was meant by one that there is not; None where none is near."""
    known = by_path()
    section, _, leaf = path.rpartition(".")
    word = leaf.lower().replace("-", "_")
    start = f"{section}." if section else ""
    inside = {p.removeprefix(start).partition(".")[0] for p in known if p.startswith(start)}
    if section and (near := nearest(word, inside)):
        return f"{start}{near}"
    if (named := BY_NAME.get(word)) in known:
        return named
    if near := nearest(word, inside):
        return f"{start}{near}"
    leaf = nearest(word, {p.rpartition(".")[2] for p in known}) or ""
    found = [p for p in known if p.rpartition(".")[2] == leaf]
    return found[0] if len(found) == 1 else None


def value_like(value: str, options: Iterable[str]) -> str | None:
    """The option that was meant by a value that is none; None where none is near."""
    options, plain = list(options), value.lower().replace("-", "_").replace(" ", "_")
    for option in options:
        if plain in VALUE_NAMES.get(option, "").split():
            return option
    return nearest(plain, options)
