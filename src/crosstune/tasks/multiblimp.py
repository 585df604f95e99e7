"""MultiBLiMP 1.0 (Jumelet et al. 2025): sentences and their ungrammatical twins in 101 languages."""

from crosstune.tasks.in_harness import InHarness, otherwise
from crosstune.tasks.layout import ColumnLayout, same
from crosstune.tasks.published import Published
from crosstune.tasks.task import Field, Task

# Without Serbo-Croatian, Classical Armenian and Kui, which have no code of their own in CLDR.
_LANGUAGES = (
    "ab aln am apu aqz ar azz be bg bho bn bor br bua ca cs cu cy da de egy el en es et eu fa fi fo fr frm fro ga gd "
    "gl got grc gu hbo he hi hit hsb hu hy hyw is it ka kk koi krl ku kv ky la lij lt lv mdf mk mr myv nds nhi nl "
    "olo orv ota pcm pl pt quc ro ru sa sah se sk sl sms sq sv ta tpn tr ttc ug uk ur urb uz vep wbp wo xnr xpg yrl"
)
# Of several codes of three letters, the one of its files.
_IN_HARNESS = (
    "ar:arb bho:bho bua:bua cs:ces cy:cym de:deu el:ell et:est eu:eus fa:fas fr:fra gu:guj hy:hye is:isl ka:kat "
    "ku:kmr kv:kpv lv:lav mk:mkd nl:nld ro:ron sa:san sk:slk sq:sqi tpn:tpn uz:uzb"
)

TASKS = (
    Task(
        name="multiblimp",
        title="MultiBLiMP",
        judge="choice",
        languages=tuple(_LANGUAGES.split()),
        fields=(Field("sen"), Field("wrong_sen", is_own=False)),
        num_labels=2,
        layouts=(ColumnLayout(same("sen", "wrong_sen"), right=0),),
        published=Published("multilingual", ("{iso3}/data.tsv", "{iso3}/train-*.parquet", "{iso3}.tsv")),
        in_harness=InHarness("multiblimp_{iso3}", tuple(_LANGUAGES.split()), otherwise(_IN_HARNESS)),
        has_quoted_cells=True,
        group="Grammar",
    ),
)
