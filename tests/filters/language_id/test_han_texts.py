"""Characters tell Chinese, Cantonese, Japanese and Korean apart."""

import pytest

from filters.language_id.identify import identify
from filters.language_id.scripts import CHINESE, script_counts, settle_han, split_label
from pipelines.models.files import load_model


@pytest.mark.parametrize(
    "text",
    [
        "第5回市民駅伝大会 成績発表 一般男子:1位 港町走友会(1時間02分11秒)、2位 南高校A(1時間03分40秒)でした。",
        "【中古】木製本棚 幅80cm 価格:4,500円(税込) 配送料別 店頭引取可 在庫僅少のため売切御免です",
        "道路交通法第七十条 車両等の運転者は、当該車両等の制動装置を確実に操作し、安全な速度で運転しなければならない。",
    ],
)
def test_kana_in_several_places_make_a_text_japanese(text: str) -> None:
    assert identify(text, load_model())[0][0] == "jpn_Jpan"


@pytest.mark.parametrize(
    "text",
    [
        "这家店的招牌菜叫おにぎり，其实就是饭团，一个卖八块钱，中午常常有人排队，老板说最近还会开第二家分店。",
        "台灣之光咖啡店推出「和の味」套餐，每份兩百元，還會附贈一杯熱茶，許多上班族中午都來這裡吃飯聊天。",
    ],
)
def test_chinese_that_names_something_japanese_stays_chinese(text: str) -> None:
    assert identify(text, load_model())[0][0].startswith("zho_")


@pytest.mark.parametrize(
    "text",
    [
        "柳岸风来影渐疏\n小船载酒过平湖\n谁家玉笛吹新月\n一夜乡心入梦无",
        "转让二手冰箱九成新有意者电话联系可送货上门",
        "老师：作业写完了吗\n学生：还没有\n老师：那什么时候交\n学生：明天早上",
        "山中人不知歲月，但見花開花落，雲去雲來，其樂也如此",
    ],
)
def test_short_chinese_is_in_no_language_that_is_not_written_so(text: str) -> None:
    found = identify(text, load_model())
    assert found[0][0].startswith("zho_")
    assert all(split_label(label)[0] in CHINESE for label, score in found if score >= 0.01)


def test_cantonese_and_korean_keep_their_labels() -> None:
    cantonese = "佢哋尋晚喺樓下食宵夜，食到好夜先返嚟，今朝又起唔到身，阿媽嬲到嗌晒。"
    assert identify(cantonese, load_model())[0][0] == "yue_Hant"
    assert identify("圖書館에서 冊을 빌려 왔는데 아직 읽지 못했습니다.", load_model())[0][0] == "kor_Hang"


def test_a_page_that_is_mostly_in_latin_letters_keeps_its_labels() -> None:
    text = "The old word 山 means mountain, and every child here can write it."
    assert settle_han([("eng_Latn", 0.9)], text, script_counts(text)) == [("eng_Latn", 0.9)]
