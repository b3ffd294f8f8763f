from recap.report.learning import learning_curves


def record(stage, step, **numbers):
    return {"stage": stage, "iteration": 1, "step": step, **numbers}


def test_splits_of_one_metric_share_a_panel_and_stages_do_not():
    curves = learning_curves(
        [
            record("train_value", 0, train_loss=3.0, **{"held_out/loss": 3.5}),
            record("train_value", 10, train_loss=2.0, **{"held_out/loss": 2.5}),
            record("train_policy", 0, loss=1.0),
            record("train_policy", 10, loss=0.5),
        ]
    )
    assert [(c.stage, c.metric, [s.name for s in c.series]) for c in curves] == [
        ("train_value", "loss", ["train", "held_out"]),
        ("train_policy", "loss", [""]),
    ]
    assert curves[0].series[1].values.tolist() == [3.5, 2.5]


def test_a_step_recorded_again_after_a_resume_counts_as_it_was_recorded_last():
    (curve,) = learning_curves(
        [record("s", step, loss=loss) for step, loss in [(0, 3.0), (20, 9.0), (10, 2.0), (20, 1.0)]]
    )
    assert curve.series[0].steps.tolist() == [0.0, 10.0, 20.0]
    assert curve.series[0].values.tolist() == [3.0, 2.0, 1.0]


def test_what_is_no_number_or_does_not_move_is_no_curve():
    records = [
        {"step": 0, "loss": 1.0},
        {"stage": "s", "loss": 1.0},
        record("s", 0, loss=float("nan"), note="warm-up", is_best=True, once=1.0, seconds=0.1),
        record("s", 1, loss=1.0, note="warm", is_best=False, seconds=0.2),
    ]
    assert learning_curves(records) == ()
