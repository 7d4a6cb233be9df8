export const page = `<!doctype html>
<title>Reports</title>
<form><input name="title" value="Year in review"> <button>Make the report</button></form>
<progress value="0" max="1"></progress> <output></output>
<script>
  const [form] = document.forms, bar = document.querySelector('progress'), output = document.querySelector('output');
  form.onsubmit = async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ title: new FormData(form).get('title'), sections: 8 });
    const answer = await (await fetch('/reports', { method: 'POST', body })).json();
    if (answer.error) return void (output.value = answer.error);
    const events = new EventSource('/reports/' + answer.id + '/events');
    events.addEventListener('progress', ({ data }) => {
      const { done, of } = JSON.parse(data);
      bar.value = done / of;
    });
    const end = (text) => { output.value = text; events.close(); };
    events.addEventListener('done', ({ data }) => end(JSON.parse(data).file));
    events.addEventListener('failed', ({ data }) => end(data));
  };
</script>`;
