import numpy as np
import pytest
import torch

from common.errors import ConfigError, InputError, OutputError
from ksam.augment import CameraRange, GeometryRange
from ksam.episodes import EncodedEpisodeDataset, EpisodeDataset, Sample, encode_views
from ksam.tasks import TaskMix

EDGE = 64  # of the samples; the network sees half


def _sample(patient, radius, shown=(True, True)):
    y, x = np.mgrid[:EDGE, :EDGE]
    away = np.hypot(y - 32, x - 32)
    masks = np.stack([away < 2 * radius, away < radius]) & np.array(shown)[:, None, None]
    image = np.full((EDGE, EDGE, 3), 10 * int(patient) + 20) + 100 * masks[0][..., None]
    return Sample(image.astype(np.uint8), masks, patient)


@pytest.fixture
def samples():
    return [_sample("1", 8), _sample("1", 9), _sample("2", 7), _sample("3", 10, (True, False))]


def _patient(image):
    return int((image[0, 0, 0].item() - 20) / 10)


def test_items_have_the_shapes_that_training_expects(samples):
    data = EpisodeDataset(
        samples, CameraRange(), GeometryRange(), tasks=TaskMix(), tasks_per_pair=3, episodes=5
    )
    item = data[0]
    assert len(data) == 5
    assert {key: (tuple(value.shape), value.dtype) for key, value in item.items()} == {
        "image": ((3, 32, 32), torch.float32),
        "label": ((3, 32, 32), torch.float32),
        "knowledge_image": ((3, 32, 32), torch.float32),
        "knowledge_mask": ((3, 32, 32), torch.float32),
    }
    assert set(item["label"].unique().tolist()) <= {0.0, 1.0}
    assert item["image"].max() > 1


def test_target_and_template_are_of_different_patients(samples):
    data = EpisodeDataset(samples)
    pairs = [(_patient(data[i]["image"]), _patient(data[i]["knowledge_image"])) for i in range(60)]
    assert all(target != template for target, template in pairs)
    assert {1, 2, 3} == {target for target, _ in pairs} == {template for _, template in pairs}


def test_absent_structures_are_asked_for_as_often_as_wanted(samples):
    def share(absent):
        data = EpisodeDataset(samples, absent=absent, tasks_per_pair=4)
        return np.mean([(data[i]["label"].amax(dim=(1, 2)) == 0).float().mean().item() for i in range(150)])

    assert share(0.6) > share(0.1) > 0
    assert all(EpisodeDataset(samples, absent=0.0)[i]["knowledge_mask"].any() for i in range(40))


def test_an_item_is_the_same_in_every_run_and_others_differ(samples):
    first, second = (
        EpisodeDataset(samples, CameraRange(), GeometryRange(), tasks=TaskMix()) for _ in range(2)
    )
    assert all(torch.equal(first[7][key], second[7][key]) for key in first[7])
    assert not torch.equal(first[7]["image"], first[8]["image"])
    other = EpisodeDataset(samples, CameraRange(), GeometryRange(), seed=1)
    assert not torch.equal(first[7]["image"], other[7]["image"])


def _cornered(patient):
    """A structure of 8 pixels in the corner."""
    sample = _sample(patient, 8)
    masks = np.zeros_like(sample.masks)
    masks[:, :8, :8] = True
    return sample._replace(masks=masks)


def test_a_template_that_a_warp_empties_is_shown_as_it_is():
    """Enlarged twice around the middle, the corner is outside: the template must still show something."""
    enlarge = GeometryRange(scale=(2.0, 2.0), turn_deg=0, shift=0, mirror=(0, 0), bulge=0, waves=0)
    data = EpisodeDataset([_cornered("1"), _cornered("2")], geometry=enlarge, episodes=5)
    for index in range(5):
        item = data[index]
        assert item["knowledge_mask"].sum() == 16
        assert item["label"].sum() == 0


def test_what_vanishes_at_the_size_of_the_network_is_no_template(samples):
    speck = samples[2]._replace(masks=np.zeros_like(samples[2].masks))
    speck.masks[:, 32, 32] = True  # a quarter of a pixel of the network
    data = EpisodeDataset([samples[0], speck], absent=1.0, episodes=20)
    assert {_patient(data[index]["knowledge_image"]) for index in range(20)} == {1}
    with pytest.raises(InputError, match="episodes: expected pictures of two patients or more, one of them"):
        EpisodeDataset([samples[0]._replace(masks=speck.masks), speck])


def test_whole_pictures_and_regions_need_a_partner_each(samples):
    """Patient 2 has a region only, patient 1 a whole and a region: the whole one meets nobody."""
    whole, region = samples[0], samples[1]._replace(is_region=True)
    data = EpisodeDataset([whole, region, samples[2]._replace(is_region=True)])
    assert data.templates.tolist() == [1, 2]
    with pytest.raises(InputError, match="got none among 2 pictures: add cases"):
        EpisodeDataset([whole, samples[2]._replace(is_region=True)])


def test_one_camera_for_both_pictures_makes_them_more_alike(samples):
    def apart(same):
        data = EpisodeDataset(samples, CameraRange(2.0), same_camera=same)
        items = [data[index] for index in range(60)]
        means = [(item["image"] - item["knowledge_image"]).mean(dim=(1, 2)).abs() for item in items]
        return torch.stack(means).mean()

    assert apart(1.0) < 0.5 * apart(0.0)


def test_pairs_of_one_patient_are_two_pictures_by_one_camera(samples):
    data = EpisodeDataset(samples, CameraRange(2.0), same_patient=1.0, episodes=60)
    rng = np.random.default_rng(0)
    pairs = [data._draw_pair(rng) for _ in range(200)]
    assert all(target != template for target, template in pairs)
    several = [pair for pair in pairs if data.patients[pair[1]] == "1"]
    assert several
    assert all(data.patients[target] == "1" for target, _ in several)
    assert all(data.patients[target] != "3" for target, template in pairs if data.patients[template] == "3")
    assert data._share_camera(rng, *several[0])
    assert not data._share_camera(rng, 0, 3)


@pytest.mark.parametrize(
    "arguments",
    [{"episodes": 0}, {"tasks_per_pair": 0}, {"same_camera": 1.1}, {"same_patient": 2.0}, {"absent": -0.1}],
)
def test_settings_out_of_range_are_refused(samples, arguments):
    with pytest.raises(ConfigError, match="episodes: expected 1 or more episodes"):
        EpisodeDataset(samples, **arguments)


class Encoder:
    """Counts its calls; features are means over areas times a weight."""

    def __init__(self, weight=1.0):
        self.weight, self.calls = weight, 0

    def __call__(self, image):
        self.calls += 1
        return self.weight * torch.nn.functional.avg_pool2d(image, 4)


def test_views_are_what_the_encoder_makes_of_them(samples, tmp_path):
    views = encode_views(Encoder(), samples, tmp_path, 3, CameraRange(), GeometryRange())
    assert views.count == 3
    image = torch.from_numpy(views.view(2, 1).image.transpose(2, 0, 1).copy()).float()
    wanted = Encoder()(image[None])[0]
    assert torch.allclose(views.embedding(2, 1), wanted, rtol=2e-3)
    assert views.patients == ("1", "1", "2", "3")


def test_the_first_view_is_the_picture_itself(samples, tmp_path):
    views = encode_views(Encoder(), samples, tmp_path, 2, CameraRange())
    half = samples[0].image.reshape(EDGE // 2, 2, EDGE // 2, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(views.view(0, 0).image - half).max() <= 0.5
    assert not np.array_equal(views.view(1, 0).image, views.view(0, 0).image)


def test_an_equal_run_reuses_the_folder_and_another_fills_it_anew(samples, tmp_path):
    encode_views(Encoder(), samples, tmp_path, 2, CameraRange())
    again = Encoder()
    encode_views(again, samples, tmp_path, 2, CameraRange())
    assert again.calls == 1  # the probe
    for change in ({"views": 3}, {"seed": 1}, {"camera": CameraRange(0.5)}):
        other = Encoder()
        encode_views(other, samples, tmp_path, **({"views": 2, "camera": CameraRange()} | change))
        assert other.calls > 1


def test_other_weights_or_pictures_fill_the_folder_anew(samples, tmp_path):
    encode_views(Encoder(), samples, tmp_path, 1)
    other = Encoder(1.2)
    encode_views(other, samples, tmp_path, 1)
    assert other.calls == 5
    fewer = Encoder(1.2)
    encode_views(fewer, samples[:3], tmp_path, 1)
    assert fewer.calls == 4


def test_no_view_at_all_is_refused(samples, tmp_path):
    with pytest.raises(ConfigError, match="views: expected 1 or more, got 0"):
        encode_views(Encoder(), samples, tmp_path, 0)


def test_a_folder_that_cannot_be_written_is_named(samples, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cache_dir: expected a folder with room"):
        encode_views(Encoder(), samples, tmp_path / "file", 1)


def test_encoded_episodes_carry_the_features_of_their_pictures(samples, tmp_path):
    views = encode_views(Encoder(), samples, tmp_path, 3, CameraRange(), GeometryRange())
    data = EncodedEpisodeDataset(views, tasks=TaskMix(), tasks_per_pair=2, same_camera=0.5)
    for index in range(10):
        item = data[index]
        assert item["label"].shape == (2, 32, 32)
        for image, embedding in (("image", "embedding"), ("knowledge_image", "knowledge_embedding")):
            assert torch.allclose(item[embedding], Encoder()(item[image][None])[0], rtol=2e-3, atol=0.05)


def test_the_same_camera_is_the_same_view_number(samples, tmp_path):
    views = encode_views(Encoder(), samples, tmp_path, 3, CameraRange())
    data = EncodedEpisodeDataset(views, same_camera=1.0)
    images = views.images.transpose(0, 1, 4, 2, 3).astype(np.float32)
    for index in range(10):
        found = [
            {v for v in range(3) if (images[v] == data[index][key].numpy()).all(axis=(1, 2, 3)).any()}
            for key in ("image", "knowledge_image")
        ]
        assert found[0] & found[1]
