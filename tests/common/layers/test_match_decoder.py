import math

import numpy as np
import pytest
import torch

from common.errors import ConfigError
from common.layers.match_decoder import MatchDecoder

GRID, SIZE, DETAIL = 8, 16, 8


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return MatchDecoder(GRID, SIZE, DETAIL, heads=2, head_size=4, widths=(8, 16)).eval()


def _inputs(pairs=2, tasks=3):
    torch.manual_seed(1)
    masks = (torch.rand(pairs, tasks, GRID, GRID) > 0.5).float()
    grid = (pairs, SIZE, GRID, GRID)
    return torch.randn(grid), torch.rand(pairs, DETAIL, GRID, GRID), torch.randn(grid), masks


def test_carried_masks_are_attention_over_the_template_written_as_a_loop(decoder):
    matching, detail, template, masks = _inputs(1, 2)
    carried = decoder(matching, detail, template, masks).carried
    half = torch.nn.functional.avg_pool2d
    query, key = decoder.query(matching)[0].detach(), decoder.key(half(template, 2))[0].detach()
    shares = half(masks, 2)[0].flatten(1)
    for row, column, task in ((0, 0, 0), (3, 5, 1), (7, 7, 0)):
        found = []
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            wanted = query[part, row, column]
            cosines = [
                float(wanted @ known / (wanted.norm() * known.norm())) for known in key[part].flatten(1).T
            ]
            weights = np.exp(12 * np.array(cosines))
            found.append((weights / weights.sum() * shares[task].detach().numpy()).sum())
        share = np.clip(np.mean(found), 0.004, 0.996)
        assert carried[0, task, row, column].item() == pytest.approx(math.log(share / (1 - share)), abs=1e-4)


def test_structures_of_a_pair_do_not_see_each_other(decoder):
    matching, detail, template, masks = _inputs(2, 6)  # more than head_size: two groups
    together = decoder(matching, detail, template, masks)
    assert together.logits.shape == (2, 6, 4 * GRID, 4 * GRID)
    for task in range(6):
        alone = decoder(matching, detail, template, masks[:, task : task + 1])
        assert torch.allclose(alone.logits, together.logits[:, task : task + 1], atol=1e-4)
        assert torch.allclose(alone.carried, together.carried[:, task : task + 1], atol=1e-4)


def test_an_empty_and_a_full_mask_carry_over_as_such(decoder):
    matching, detail, template, _ = _inputs(1, 1)
    empty, full = (torch.full((1, 1, GRID, GRID), value) for value in (0.0, 1.0))
    assert (decoder(matching, detail, template, empty).carried < -5).all()
    assert (decoder(matching, detail, template, full).carried > 5).all()


def test_the_mask_of_the_template_itself_comes_back():
    torch.manual_seed(0)
    decoder = MatchDecoder(GRID, SIZE, DETAIL, heads=1, head_size=16)
    with torch.no_grad():
        decoder.key.weight.copy_(decoder.query.weight)
        decoder.key.bias.copy_(decoder.query.bias)
        decoder.log_scale.fill_(math.log(200.0))
    picture = torch.randn(1, SIZE, GRID // 2, GRID // 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    mask = torch.zeros(1, 1, GRID, GRID)
    mask[..., 2:6, 2:6] = 1
    carried = decoder(picture, torch.zeros(1, DETAIL, GRID, GRID), picture, mask).carried
    assert torch.equal(carried > 0, mask > 0)


def test_everything_is_trained(decoder):
    output = decoder(*_inputs())
    (output.logits.square().mean() + output.carried.square().mean()).backward()
    left = [name for name, value in decoder.named_parameters() if value.grad is None]
    assert left == []


def test_half_precision_stays_close(decoder):
    inputs = _inputs()
    with torch.autocast("cpu", torch.bfloat16):
        low = decoder(*inputs)
    assert torch.allclose(low.logits.float(), decoder(*inputs).logits, atol=0.1)


@pytest.mark.parametrize("arguments", [{"heads": 0}, {"head_size": 0}, {"grid": 7, "widths": (8, 8)}])
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match=r"match_(heads|refine_widths): expected"):
        MatchDecoder(**({"grid": GRID} | arguments))
